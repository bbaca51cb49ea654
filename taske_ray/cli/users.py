"""`taske user list`, `get` and `change`: other people's accounts, over HTTP, for administrators."""

from enum import StrEnum
from itertools import islice
from typing import Annotated

import typer

from taske_ray.cli import accounts
from taske_ray.cli.accounts import Role
from taske_ray.cli.output import Format, Output, attribute, show_list, show_one, working
from taske_ray.cli.service import service, user_id

app = accounts.users
Who = Annotated[str, typer.Argument(metavar="USER", help="Id or address of an account.")]
_COLUMNS = [
    ("ID", attribute("id")),
    ("E-MAIL", attribute("email")),
    ("NAME", attribute("name")),
    ("ROLE", attribute("role")),
    ("STATUS", attribute("status")),
    ("VERIFIED", attribute("verified")),
    ("CREATED", attribute("created_at")),
]


class Switch(StrEnum):
    """What an administrator may make of an account."""

    active = "active"
    disabled = "disabled"


@app.command("list")
def list_users(
    context: typer.Context,
    query: Annotated[str | None, typer.Option(help="Only those whose address contains this.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50,
    output: Output = Format.TABLE,
) -> None:
    """Show accounts, newest first (admin)."""
    with service(context) as taske, working("Reading accounts"):
        found = list(islice(taske.users.list(q=query), limit))
    show_list(found, _COLUMNS, output)


@app.command("get")
def get(context: typer.Context, user: Who, output: Output = Format.TABLE) -> None:
    """Show an account (admin)."""
    with service(context) as taske:
        show_one(taske.users.get(user_id(taske, user)), _COLUMNS, output)


@app.command("change")
def change(
    context: typer.Context,
    user: Who,
    role: Annotated[Role | None, typer.Option(help="What they may do.")] = None,
    status: Annotated[Switch | None, typer.Option(help="Disabled, or active again.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Give an account another role, disable or enable it; it acts on the user's next request (admin)."""
    if role is None and status is None:
        raise typer.BadParameter("say what is to change: --role or --status")
    with service(context) as taske:
        found = user_id(taske, user)
        changed = taske.users.update(found, role=role and role.value, status=status and status.value)
        show_one(changed, _COLUMNS, output)
