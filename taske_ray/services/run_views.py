"""Runs in the words of the contract: rows turned into what the API answers, with secrets masked and advice added."""

from datetime import datetime
from typing import Any

from taske_ray.core.advice import advice
from taske_ray.core.ids import format_id
from taske_ray.core.redaction import redact
from taske_ray.db.history import StoredRun, StoredStep


def run_summary(run: StoredRun) -> dict[str, Any]:
    """A run in a list."""
    return {
        "id": format_id("run", run.id),
        "task_id": format_id("task", run.task_id),
        "task_version": run.task_version,
        "status": run.status,
        "trigger_output": redact(run.input),
        "scheduled_at": run.scheduled_at,
        "replay_of": format_id("run", run.replay_of) if run.replay_of else None,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "error": _failure(run.error),
    }


def step_view(step: StoredStep, run: StoredRun) -> dict[str, Any]:
    """A step of this run. One that a cancel met between two attempts, or while it waited, does not go on running."""
    cut_off = run.status == "cancelled" and step.status == "running"
    return {
        "key": step.key,
        "capability": step.capability,
        "status": ("failed" if step.attempts else "skipped") if cut_off else step.status,
        "started_at": step.started_at,
        "finished_at": run.finished_at if cut_off else step.finished_at,
        "input": redact(step.input),
        "output": redact(step.output),
        "error": _failure(step.error),
        "attempts": [_attempt(attempt) for attempt in step.attempts],
    }


def pending_step(number: int, action: dict[str, Any]) -> dict[str, Any]:
    """An action that the run has not reached."""
    nothing = dict.fromkeys(("started_at", "finished_at", "input", "output", "error"))
    key = action.get("key") or f"action{number}"
    return {"key": key, "capability": action["capability"], "status": "pending", **nothing, "attempts": []}


def _attempt(attempt: dict[str, Any]) -> dict[str, Any]:
    times = {name: _time(attempt.get(name)) for name in ("started_at", "finished_at")}
    shown = {"request": redact(attempt.get("request")), "error": _failure(attempt.get("error"))}
    return attempt | times | shown


def _time(value: Any) -> Any:
    """The database writes times inside JSON with another offset sign than the rest of an answer has."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _failure(error: dict[str, Any] | None) -> dict[str, Any] | None:
    hint = advice(error) if error else None
    return error if error is None or hint is None else {**error, "hint": hint}
