"""`taske task …`: define, look at, switch and run tasks."""

import difflib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taske_ray.cli.output import Format, Output, attribute, say, say_document, show_list, show_one, working, yaml_text
from taske_ray.cli.run_views import ended_well, show_run
from taske_ray.cli.service import Input, TaskName, connection_id, read_document, read_object, service, task_id

if TYPE_CHECKING:
    from taske_ray.schemas.tasks import Task
    from taske_ray.sdk.client import Taske

app = typer.Typer(no_args_is_help=True, help="Tasks: when something happens, do these things.")
File = Annotated[list[str], typer.Option("-f", "--file", help="YAML or JSON, one task per file; - for standard input.")]
_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z"]
Since = Annotated[datetime, typer.Option("--from", formats=_FORMATS, help="The first instant; local unless it says.")]
Until = Annotated[datetime | None, typer.Option(formats=_FORMATS, help="The last instant; now, unless given.")]

_COLUMNS = [
    ("ID", attribute("id")),
    ("NAME", attribute("name")),
    ("ENABLED", attribute("enabled")),
    ("VERSION", attribute("version")),
    ("TRIGGER", lambda task: task.trigger.capability),
    ("NEXT", lambda task: (task.trigger.next_fires or [None])[0]),
]
_DEFAULTED = {"enabled", "overlap", "key", "retry", "on_error", "timeout_s", "on_unknown"}
_DETAILS = [
    *_COLUMNS[:5],
    ("NEXT", lambda task: ", ".join(f"{instant:%Y-%m-%dT%H:%M:%SZ}" for instant in task.trigger.next_fires or ())),
    ("WEBHOOK", lambda task: task.trigger.hook_url),
    ("ACTIONS", lambda task: ", ".join(action.capability for action in task.actions)),
    ("UPDATED", attribute("updated_at")),
]


@app.command("apply")
def apply(context: typer.Context, file: File, output: Output = Format.TABLE) -> None:
    """Create each task, or change the one of the same name. Connections may be named instead of given by id."""
    documents = [read_document(name) for name in file]
    with service(context) as taske:
        saved = [taske.tasks.apply(_with_connection_ids(taske, document)) for document in documents]
    show_list(saved, [*_COLUMNS, ("WEBHOOK", lambda task: task.trigger.hook_url)], output)


@app.command("list")
def list_tasks(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show all tasks."""
    with service(context) as taske, working("Reading tasks"):
        found = list(taske.tasks.list(limit=200))
    show_list(found, _COLUMNS, output)


@app.command("get")
def get(context: typer.Context, task: TaskName, output: Output = Format.TABLE) -> None:
    """Show one task."""
    with service(context) as taske:
        show_one(taske.tasks.get(task_id(taske, task)), _DETAILS, output)


@app.command("run")
def run(
    context: typer.Context,
    task: TaskName,
    input: Input = None,  # noqa: A002 - the option's name
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended; exit 1 unless it succeeded.")] = False,
    timeout: Annotated[float, typer.Option(min=0, help="With --wait: for so many seconds.")] = 300.0,
    output: Output = Format.TABLE,
) -> None:
    """Fire a task by hand, enabled or not."""
    trigger_output = read_object(input)
    with service(context) as taske, working("Waiting for the run"):
        started = taske.tasks.run(task_id(taske, task), input=trigger_output, wait=wait, timeout_s=timeout)
    show_run(started, output)
    if wait and not ended_well(started):
        raise typer.Exit(1)


@app.command("backfill")
def backfill(
    context: typer.Context, task: TaskName, since: Since, until: Until = None, *, output: Output = Format.TABLE
) -> None:
    """Run a schedule's instants of a past range that have no run, at most 1,000."""
    with service(context) as taske, working("Making runs"):
        made = taske.tasks.backfill(task_id(taske, task), since, until or datetime.now(UTC))
    show_one(made, [("RUNS", attribute("runs")), ("SKIPPED", attribute("skipped"))], output)


@app.command("enable")
def enable(context: typer.Context, task: TaskName, output: Output = Format.TABLE) -> None:
    """Let a task's trigger fire."""
    with service(context) as taske:
        show_list([taske.tasks.enable(task_id(taske, task))], _COLUMNS, output)


@app.command("disable")
def disable(context: typer.Context, task: TaskName, output: Output = Format.TABLE) -> None:
    """Stop a task's trigger; runs that have begun go on."""
    with service(context) as taske:
        show_list([taske.tasks.disable(task_id(taske, task))], _COLUMNS, output)


@app.command("rotate-hook")
def rotate_hook(context: typer.Context, task: TaskName) -> None:
    """Give a task's webhook another address and print it; the old one ends at once."""
    with service(context) as taske:
        say(str(taske.tasks.rotate_hook(task_id(taske, task)).trigger.hook_url))


@app.command("delete")
def delete(context: typer.Context, task: TaskName) -> None:
    """Delete a task; its runs stay in the history."""
    with service(context) as taske:
        found = task_id(taske, task)
        taske.tasks.delete(found)
    say(f"Deleted {found}")


@app.command("export")
def export(context: typer.Context, task: TaskName, output: Output = Format.YAML) -> None:
    """Print a task's definition, ready for `taske task apply -f`."""
    with service(context) as taske:
        document = definition(taske.tasks.get(task_id(taske, task)))
    say_document(document, Format.YAML if output is Format.TABLE else output)


@app.command("diff")
def diff(context: typer.Context, file: File) -> None:
    """Show what `taske task apply -f` would change; exit 1 if anything."""
    changed = False
    for name in file:
        wanted = read_document(name)
        with service(context) as taske:
            current = _current(taske, wanted)
            lines = _differences(current, _with_connection_ids(taske, wanted), name)
        for line in lines:
            say(line)
        changed = changed or bool(lines)
    if changed:
        raise typer.Exit(1)


def definition(task: "Task") -> dict[str, Any]:
    """What of a saved task its author wrote: without ids, versions and times, without what is not set."""
    document = task.model_dump(mode="json", by_alias=True, include={"name", "enabled", "overlap"})
    trigger = task.trigger.model_dump(mode="json", include={"capability", "connection", "params"})
    actions = [action.model_dump(mode="json", by_alias=True) for action in task.actions]
    return document | {"trigger": _set(trigger), "actions": [_set(action) for action in actions]}


def _current(taske: "Taske", wanted: dict[str, Any]) -> dict[str, Any]:
    """The definition of the task of that name; nothing if there is none."""
    for task in taske.tasks.list(limit=200):
        if task.name == wanted.get("name"):
            return definition(task)
    return {}


def _differences(current: dict[str, Any], wanted: dict[str, Any], name: str) -> list[str]:
    """A unified diff; settings that the file leaves to their defaults are no difference."""
    said = _as_said(current, wanted)
    before, after = (yaml_text(value).splitlines() if value else [] for value in (said, wanted))
    return list(difflib.unified_diff(before, after, "now", name, lineterm=""))


def _as_said(current: Any, wanted: Any) -> Any:
    """`current` in the order of `wanted`, without the settings that `wanted` leaves to their defaults."""
    if isinstance(current, dict) and isinstance(wanted, dict):
        common = {name: _as_said(current[name], value) for name, value in wanted.items() if name in current}
        return common | {
            name: value for name, value in current.items() if name not in wanted and name not in _DEFAULTED
        }
    if isinstance(current, list) and isinstance(wanted, list):
        both = [_as_said(one, other) for one, other in zip(current, wanted, strict=False)]
        return both + current[len(both) :]
    return current


def _with_connection_ids(taske: "Taske", document: dict[str, Any]) -> dict[str, Any]:
    """The same task with connection names replaced by ids."""
    trigger, actions = document.get("trigger"), document.get("actions")
    changed = dict(document)
    if isinstance(trigger, dict):
        changed["trigger"] = _connected(taske, trigger)
    if isinstance(actions, list):
        changed["actions"] = [_connected(taske, one) if isinstance(one, dict) else one for one in actions]
    return changed


def _connected(taske: "Taske", part: dict[str, Any]) -> dict[str, Any]:
    name = part.get("connection")
    return {**part, "connection": connection_id(taske.connections, name)} if isinstance(name, str) else part


def _set(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if value is not None}
