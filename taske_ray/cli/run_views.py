"""How a run looks in a terminal: one line about it, one line per step."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from taske_ray.cli.output import Format, attribute, clean, plain, say, say_document, say_table

if TYPE_CHECKING:
    from taske_ray.schemas.runs import Failure, Run, RunSummary, Step

COLUMNS = [
    ("ID", attribute("id")),
    ("TASK", attribute("task_id")),
    ("STATUS", attribute("status")),
    ("CREATED", attribute("created_at")),
    ("TOOK", lambda run: took(run.started_at, run.finished_at)),
    ("ERROR", lambda run: told(run.error)),
]
_MOST_SHOWN = 400


def show_run(run: "Run", output: Format) -> None:
    """Print a run with its steps."""
    if output is not Format.TABLE:
        say_document(plain(run), output)
        return
    say(headline(run))
    if run.steps:
        say_table(
            ["STEP", "CAPABILITY", "STATUS", "TRIES", "TOOK", "OUTPUT OR ERROR"], [_row(step) for step in run.steps]
        )
    if run.error is not None and run.error.hint:
        say(clean(run.error.hint))


def headline(run: "RunSummary") -> str:
    """A run in one line."""
    parts = [run.id, run.status, took(run.started_at, run.finished_at), told(run.error)]
    return clean("  ".join(part for part in parts if part))


def step_line(step: "Step") -> str:
    """A step in one line."""
    parts = [f"  {step.key}", step.capability, step.status, told(step.error)]
    return clean("  ".join(part for part in parts if part))


def ended_well(run: "RunSummary") -> bool:
    """Whether a command about it should exit with 0."""
    return run.status == "succeeded"


def told(error: "Failure | None") -> str:
    """Why something failed, in one line."""
    if error is None:
        return ""
    return f"{error.error_class}: {error.message}" if error.error_class else error.message


def took(started_at: datetime | None, finished_at: datetime | None) -> str:
    """How long it took."""
    if started_at is None or finished_at is None:
        return ""
    return f"{(finished_at - started_at).total_seconds():.2f} s"


def _row(step: "Step") -> list[Any]:
    result = clean(told(step.error) or step.output)
    shown = result if len(result) <= _MOST_SHOWN else f"{result[:_MOST_SHOWN]}…"
    return [step.key, step.capability, step.status, len(step.attempts), took(step.started_at, step.finished_at), shown]
