"""`taske run …`: look at runs, follow one live, stop one, do one again."""

from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from taske_ray.cli.output import Format, Output, plain, say, say_line, show_list, working, yaml_text
from taske_ray.cli.run_views import COLUMNS, ended_well, headline, show_run, step_line
from taske_ray.cli.service import Input, RunId, read_object, service, task_id

if TYPE_CHECKING:
    from taske_ray.schemas.runs import Run

app = typer.Typer(no_args_is_help=True, help="Runs: what happened, and what happens now.")


class Decision(StrEnum):
    """What a person says about a call whose outcome nobody knows."""

    SENT = "sent"
    RESEND = "resend"
    FAIL = "fail"


@app.command("list")
def list_runs(
    context: typer.Context,
    task: Annotated[str | None, typer.Option(help="Only runs of this task: id or exact name.")] = None,
    status: Annotated[str | None, typer.Option(help="Only runs in this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50,
    output: Output = Format.TABLE,
) -> None:
    """Show runs, newest first."""
    with service(context) as taske, working("Reading runs"):
        wanted = task_id(taske, task) if task else None
        found = list(islice(taske.runs.list(task_id=wanted, status=status, limit=min(limit, 200)), limit))
    show_list(found, COLUMNS, output)


@app.command("get")
def get(context: typer.Context, run: RunId, output: Output = Format.TABLE) -> None:
    """Show a run with its steps."""
    with service(context) as taske:
        show_run(taske.runs.get(run), output)


@app.command("watch")
def watch(context: typer.Context, run: RunId, output: Output = Format.TABLE) -> None:
    """Follow a run until it has ended; exit 1 unless it succeeded. With -o json, one line for each change."""
    with service(context) as taske:
        last = _follow(taske.runs.watch(run), output)
    if not ended_well(last):
        raise typer.Exit(1)


@app.command("cancel")
def cancel(context: typer.Context, run: RunId) -> None:
    """Stop a run, whatever it is doing."""
    with service(context) as taske:
        cancelled = taske.runs.cancel(run)
    say(f"{cancelled.run_id}  {cancelled.status}")


@app.command("resolve")
def resolve(
    context: typer.Context,
    run: RunId,
    decision: Annotated[
        Decision, typer.Argument(help="sent: it arrived; resend: call again, same key; fail: give up.")
    ],
) -> None:
    """Decide about a run that needs attention: nobody can know whether its last call arrived."""
    with service(context) as taske:
        resolved = taske.runs.resolve(run, decision.value)
    say(f"{resolved.run_id}  {resolved.status}")


@app.command("replay")
def replay(
    context: typer.Context,
    run: RunId,
    start: Annotated[str, typer.Option("--from", help="start, failed, or the key of a step.")] = "start",
    version: Annotated[str, typer.Option(help="The task's version: pinned or latest.")] = "pinned",
    input: Input = None,  # noqa: A002 - the option's name
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended; exit 1 unless it succeeded.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Run it again, as a new run."""
    trigger_output = read_object(input)
    with service(context) as taske, working("Waiting for the run"):
        again = taske.runs.replay(run, start=start, version=version, input=trigger_output, wait=wait)
    show_run(again, output)
    if wait and not ended_well(again):
        raise typer.Exit(1)


def _follow(states: "Iterator[Run]", output: Format) -> "Run":
    """Print each change; on a terminal in place, else line by line."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console, before = Console(), None
    if output is Format.TABLE and console.is_terminal:
        with Live(console=console, refresh_per_second=8) as live:
            for before in states:
                live.update(Text("\n".join([headline(before), *map(step_line, before.steps)])))
    else:
        for state in states:
            _print_change(before, state, output)
            before = state
    assert before is not None
    return before


def _print_change(before: "Run | None", now: "Run", output: Format) -> None:
    if output is Format.JSON:
        say_line(plain(now))
    elif output is Format.YAML:
        say(f"---\n{yaml_text(plain(now))}".rstrip())
    else:
        known = set(map(step_line, before.steps)) if before else set()
        if before is None or headline(before) != headline(now):
            say(headline(now))
        for line in map(step_line, now.steps):
            if line not in known:
                say(line)
