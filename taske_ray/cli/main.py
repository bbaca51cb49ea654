"""The `taske` command: its tree, and how errors become one clear line and an exit code (0 ok, 1 failed, 2 usage)."""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from taske_ray.cli import (
    accounts,
    audit,
    connections,
    database,
    keys,
    modules,
    oauth_clients,
    own_account,
    runs,
    tasks,
    up,
    users,
)
from taske_ray.cli.output import complain
from taske_ray.errors import Invalid, StartRefused, TaskeError

if TYPE_CHECKING:
    from taske_ray.sdk.client import Taske

OK, FAILED, USAGE = 0, 1, 2

app = typer.Typer(
    name="taske",
    help="When-Then automation on Ray and PostgreSQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(up.up)
app.command()(up.status)
app.command()(up.restart)
app.command()(accounts.login)
app.command()(keys.rotate_key)
app.add_typer(own_account.app, name="account")
app.add_typer(users.app, name="user")
app.add_typer(audit.app, name="audit")
app.add_typer(tasks.app, name="task")
app.add_typer(runs.app, name="run")
app.add_typer(modules.app, name="module")
app.add_typer(connections.app, name="connection")
app.add_typer(oauth_clients.app, name="oauth-client")
app.add_typer(database.mails, name="mail")
app.add_typer(database.app, name="db")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - how Typer calls it
    if wanted:
        from taske_ray import __version__

        typer.echo(f"taske {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str], connect: "Callable[[], Taske] | None" = None) -> int:
    """Run one command and return its exit code; `connect` makes the client that it talks to the service with."""
    try:
        app(args=list(arguments), prog_name="taske", obj=connect or _connect)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else OK
    except StartRefused as error:
        complain(f"taske: {error.message}")
        return USAGE
    except TaskeError as error:
        _tell(error)
        return FAILED
    except TimeoutError as error:
        complain(f"taske: {error}")
        return FAILED
    return OK


def _tell(error: TaskeError) -> None:
    complain(f"taske: {error.message}")
    for broken in error.errors if isinstance(error, Invalid) else ():
        complain(f"  {broken.pointer or '/'}: {broken.message}")
    for note in getattr(error, "__notes__", ()) if error.code in ("error", "internal") else ():
        complain(f"  {note}")


def _connect() -> "Taske":
    from taske_ray.sdk.client import Taske

    return Taske()
