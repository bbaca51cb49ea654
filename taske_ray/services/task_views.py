"""Tasks in the words of the contract."""

from typing import Any

from taske_ray.core.ids import format_id
from taske_ray.db.tasks import StoredTask, StoredVersion
from taske_ray.services.hooks import Hooks
from taske_ray.services.schedules import next_fires


async def task_view(task: StoredTask, hooks: Hooks) -> dict[str, Any]:
    """A task with its trigger's id, hook address and next instants."""
    return {
        "id": format_id("task", task.id),
        "version": task.version,
        "name": task.name,
        "enabled": task.enabled,
        "overlap": task.overlap,
        "trigger": await _trigger_view(task, hooks),
        "actions": task.spec["actions"],
        "created_at": task.created_at,
        "updated_at": task.updated_at,
    }


def version_view(version: StoredVersion) -> dict[str, Any]:
    """A saved version."""
    return {"version": version.version, "created_at": version.created_at, "spec": version.spec}


async def _trigger_view(task: StoredTask, hooks: Hooks) -> dict[str, Any]:
    view: dict[str, Any] = {"id": format_id("trigger", task.trigger_id), **task.spec["trigger"]}
    if task.kind == "webhook":
        view |= {"hook_url": await hooks.url_of(task), "signed": bool(task.trigger_spec.get("verify"))}
    if task.kind in ("cron", "interval"):
        fires = next_fires(task.kind, task.trigger_spec, task.anchor_at, task.read_at) if task.enabled else []
        view["next_fires"] = fires
    if task.paused_reason:
        view["paused_reason"] = task.paused_reason
    return view
