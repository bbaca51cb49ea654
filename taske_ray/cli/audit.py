"""`taske audit list`: what was done that matters for security, by everybody; one's own is `taske account audit`."""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from taske_ray.cli.output import Format, Output, attribute, show_list, working
from taske_ray.cli.service import service, user_id

if TYPE_CHECKING:
    from taske_ray.schemas.audit import Act

app = typer.Typer(no_args_is_help=True, help="The audit trail of everybody (admin).")
_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
Action = Annotated[str | None, typer.Option(help="Only these: task.delete, or task for all that begin so.")]
Result = Annotated[str | None, typer.Option(help="Only these: ok, refused or alarm.")]
Since = Annotated[datetime | None, typer.Option(formats=_FORMATS, help="From then on; local unless it says.")]
Until = Annotated[datetime | None, typer.Option(formats=_FORMATS, help="Until then; local unless it says.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many, newest first.")]
_COLUMNS = [
    ("AT", attribute("at")),
    ("USER", attribute("user_id")),
    ("ADDRESS", attribute("address")),
    ("ACTION", attribute("action")),
    ("OBJECT", attribute("object")),
    ("RESULT", attribute("result")),
    ("DETAIL", attribute("detail")),
]


@app.command("list")
def list_acts(
    context: typer.Context,
    user: Annotated[str | None, typer.Option(help="Only about this account: its id or address.")] = None,
    action: Action = None,
    result: Result = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    output: Output = Format.TABLE,
) -> None:
    """Show what was done, newest first; 90 days are kept."""
    with service(context) as taske, working("Reading the audit trail"):
        whose = user_id(taske, user) if user else None
        only = {"user_id": whose, "action": action, "result": result, "since": since, "until": until}
        show_acts(taske.audit.list(everybody=True, **only), limit, output)


def show_acts(acts: "Iterable[Act]", limit: int, output: Format) -> None:
    """Print acts, so many at most."""
    show_list(islice(acts, limit), _COLUMNS, output)
