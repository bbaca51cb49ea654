"""`taske connection …`: authorised links to modules. Secrets come from standard input, a file or a hidden prompt."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taske_ray.cli.output import Format, Output, attribute, complain, is_terminal, say, show_list, working
from taske_ray.cli.run_views import told
from taske_ray.cli.service import connection_id, read_object, read_text, service

if TYPE_CHECKING:
    from taske_ray.schemas.catalog import AuthScheme
    from taske_ray.schemas.connections import BegunAuthorization
    from taske_ray.sdk.client import Taske

app = typer.Typer(no_args_is_help=True, help="Connections: your credentials at the services that tasks use.")
Name = Annotated[str, typer.Argument(metavar="CONNECTION", help="Id or exact name of a connection.")]

_LOOK_AGAIN_S = 1.0
_COLUMNS = [
    ("ID", attribute("id")),
    ("NAME", attribute("name")),
    ("MODULE", attribute("module")),
    ("AUTH", attribute("auth")),
    ("STATUS", attribute("status")),
    ("LABEL", attribute("label")),
]


@app.command("list")
def list_connections(context: typer.Context, output: Output = Format.TABLE) -> None:
    """Show all connections, without their secrets."""
    with service(context) as taske:
        show_list(taske.connections.list(), _COLUMNS, output)


@app.command("create")
def create(
    context: typer.Context,
    module: str,
    name: Annotated[str, typer.Option(help="What you call it.")],
    auth: Annotated[str | None, typer.Option(help="The way to connect; needed if the module has several.")] = None,
    field: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, or NAME=@FILE for what others must not read.")
    ] = None,
    fields: Annotated[str | None, typer.Option(help="All fields at once: a JSON object, or @FILE, or -.")] = None,
    capability: Annotated[
        list[str] | None, typer.Option(help="What it is for, where you allow it elsewhere; all by default.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Connect to a module. Fields that are missing are asked for if there is a terminal.

    Where the service asks you to allow it, the address to open is printed; with a terminal, this waits until you did.
    """
    values = (read_object(fields) or {}) | dict(map(_pair, field or ()))
    with service(context) as taske:
        scheme = _scheme(taske, module, auth)
        values |= _asked(scheme, values)
        if scheme.consent:
            wish = {"auth": scheme.id, "name": name, "fields": values, "capabilities": capability}
            _consent(taske, taske.connections.authorize(module, **wish), output)
            return
        show_list([taske.connections.create(module, scheme.id, name, values)], _COLUMNS, output)


@app.command("reconnect")
def reconnect(
    context: typer.Context,
    connection: Name,
    capability: Annotated[list[str] | None, typer.Option(help="What else it is to be good for.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Allow a connection again, with what it was granted before and what more is named."""
    with service(context) as taske:
        found = connection_id(taske, connection)
        _consent(taske, taske.connections.authorize(connection=found, capabilities=capability), output)


@app.command("test")
def test(context: typer.Context, connection: Name) -> None:
    """Ask the service behind a connection whether it works; exit 1 if not."""
    with service(context) as taske, working("Waiting for the service"):
        result = taske.connections.test(connection_id(taske, connection))
    if not result.ok:
        complain(f"taske: {told(result.error) or 'the connection does not work'}")
        raise typer.Exit(1)
    say(f"ok  {result.label or ''}".rstrip())


@app.command("delete")
def delete(context: typer.Context, connection: Name) -> None:
    """Delete a connection and its secrets."""
    with service(context) as taske:
        found = connection_id(taske, connection)
        taske.connections.delete(found)
    say(f"Deleted {found}")


def _consent(taske: "Taske", begun: "BegunAuthorization", output: Format) -> None:
    """Print where to allow it; with somebody there, wait until they did, and show the connection."""
    complain("Open this address in your browser to allow the connection (it is good for ten minutes):")
    say(begun.authorize_url)
    if not is_terminal():
        return
    with working("Waiting for you to allow it"):
        while (now := taske.connections.authorization(begun.id)).status == "pending":
            time.sleep(_LOOK_AGAIN_S)
    if now.status != "succeeded":
        complain(f"taske: {told(now.error) or 'nobody allowed it in time'}")
        raise typer.Exit(1)
    show_list([taske.connections.get(now.connection)], _COLUMNS, output)


def _scheme(taske: "Taske", module: str, auth: str | None) -> "AuthScheme":
    schemes = [scheme for scheme in taske.modules.get(module).auth if scheme.available]
    names = ", ".join(scheme.id for scheme in schemes)
    found = [scheme for scheme in schemes if auth in (None, scheme.id)]
    if not found:
        raise typer.BadParameter(f"{module} offers {names or 'no way to connect'}", param_hint="--auth")
    if len(found) > 1:
        raise typer.BadParameter(f"{module} offers several ways: {names}", param_hint="--auth")
    return found[0]


def _asked(scheme: "AuthScheme", given: dict[str, Any]) -> dict[str, Any]:
    """What is required and missing, asked for without echo; nothing without a terminal: the service then says."""
    required = scheme.fields.get("required", ())
    missing = [name for name in required if name not in given] if is_terminal() else ()
    return {name: typer.prompt(name, hide_input=True, err=True) for name in missing}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--field")
    return name, read_text(value[1:]).rstrip("\n") if value.startswith("@") else value
