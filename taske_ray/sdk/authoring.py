"""Tasks written as code: `task("…").when(cron("…")).then(action("…"))`. Builds documents, sends nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal

from taske_ray.schemas.connections import Connection
from taske_ray.sdk.requests import fields

ConnectionRef = str | Connection | None


@dataclass(frozen=True, slots=True)
class TriggerDraft:
    """The *When* of a task."""

    capability: str
    params: Mapping[str, Any] = field(default_factory=dict)
    connection: ConnectionRef = None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"capability": self.capability, **_connected(self.connection), "params": dict(self.params)}


@dataclass(frozen=True, slots=True)
class ActionDraft:
    """One *Then* of a task."""

    capability: str
    params: Mapping[str, Any] = field(default_factory=dict)
    connection: ConnectionRef = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def options(
        self,
        *,
        key: str | None = None,
        name: str | None = None,
        condition: str | None = None,
        max_attempts: int | None = None,
        on_error: Literal["stop", "continue"] | None = None,
        timeout_s: int | None = None,
        on_unknown: Literal["resend", "ask", "fail"] | None = None,
    ) -> "ActionDraft":
        """The same action under these conditions; `condition` is the task's `if`, `key` how templates address it."""
        given = fields(key=key, name=name, on_error=on_error, timeout_s=timeout_s, on_unknown=on_unknown)
        if condition is not None:
            given["if"] = condition
        if max_attempts is not None:
            given["retry"] = {"max_attempts": max_attempts}
        return replace(self, settings={**self.settings, **given})

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "capability": self.capability,
            **_connected(self.connection),
            "params": dict(self.params),
            **self.settings,
        }


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """A task that is being written; each method returns a new one."""

    name: str
    enabled: bool = True
    overlap: Literal["allow", "skip", "queue"] | None = None
    trigger: TriggerDraft | None = None
    actions: tuple[ActionDraft, ...] = ()

    def when(self, trigger: TriggerDraft) -> "TaskDraft":
        """The same task with this trigger."""
        return replace(self, trigger=trigger)

    def then(self, *actions: ActionDraft) -> "TaskDraft":
        """The same task with these actions after those it has."""
        return replace(self, actions=(*self.actions, *actions))

    def document(self) -> dict[str, Any]:
        """As JSON, ready for `tasks.apply`; a task without a trigger is fired by hand."""
        return {
            "name": self.name,
            "enabled": self.enabled,
            **fields(overlap=self.overlap),
            "trigger": (self.trigger or manual()).document(),
            "actions": [action.document() for action in self.actions],
        }


def task(name: str, *, enabled: bool = True, overlap: Literal["allow", "skip", "queue"] | None = None) -> TaskDraft:
    """Begin a task; `overlap` says what happens when it fires while it runs."""
    return TaskDraft(name, enabled=enabled, overlap=overlap)


def action(capability: str, /, *, connection: ConnectionRef = None, **params: Any) -> ActionDraft:
    """An action with its parameters; strings may hold templates like `{{ action1.output.id }}`."""
    return ActionDraft(capability, params, connection)


def on(capability: str, /, *, connection: ConnectionRef = None, **params: Any) -> TriggerDraft:
    """Any trigger capability with its parameters."""
    return TriggerDraft(capability, params, connection)


def cron(
    expression: str, *, timezone: str | None = None, misfire: Literal["skip", "once", "all"] | None = None
) -> TriggerDraft:
    """When a five-field cron expression falls due in a time zone; `misfire` says what becomes of missed instants."""
    return on("system.schedule.cron", cron=expression, **fields(timezone=timezone, misfire=misfire))


def every(interval: str | timedelta) -> TriggerDraft:
    """Again and again: an ISO 8601 duration like "PT15M", or a timedelta; at least one second."""
    return on("system.schedule.interval", every=_duration(interval))


def webhook(
    *,
    verify: Mapping[str, Any] | None = None,
    dedupe_header: str | None = None,
    respond: Literal["result"] | None = None,
) -> TriggerDraft:
    """When a request arrives at the task's own address (`trigger.hook_url` of the saved task)."""
    return on("system.webhook", **fields(verify=verify, dedupe_header=dedupe_header, respond=respond))


def poll(url: str, *, every: str | timedelta, connection: ConnectionRef = None, **params: Any) -> TriggerDraft:
    """When something new appears in a list that an HTTP address answers; see `http.poll` for the parameters."""
    return on("http.poll", connection=connection, url=url, every=_duration(every), **params)


def manual() -> TriggerDraft:
    """Only by hand."""
    return on("system.manual")


def _connected(connection: ConnectionRef) -> dict[str, Any]:
    if connection is None:
        return {}
    return {"connection": connection if isinstance(connection, str) else connection.id}


def _duration(value: str | timedelta) -> str:
    if isinstance(value, str):
        return value
    return f"PT{value.total_seconds():.6f}".rstrip("0").rstrip(".") + "S"
