"""`taske connection …`: authorised links to modules. Secrets come from standard input, a file or a hidden prompt."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taske_ray.cli.output import Format, Output, attribute, complain, is_terminal, say, show_list, working
from taske_ray.cli.run_views import told
from taske_ray.cli.service import connection_id, read_object, read_text, service
from taske_ray.errors import Forbidden, NotFound

if TYPE_CHECKING:
    from taske_ray.schemas.catalog import AuthScheme
    from taske_ray.schemas.connections import BegunAuthorization, Connection
    from taske_ray.sdk.client import Taske
    from taske_ray.sdk.connections import Connections

app = typer.Typer(no_args_is_help=True, help="Connections: your credentials at the services that tasks use.")
Name = Annotated[str, typer.Argument(metavar="CONNECTION", help="Id or exact name of a connection.")]
Instance = Annotated[bool, typer.Option("--instance", help="The instance's, not yours (admin).")]
Field = Annotated[list[str] | None, typer.Option(help="NAME=VALUE, or NAME=@FILE for what others must not read.")]
Fields = Annotated[str | None, typer.Option(help="All fields at once: a JSON object, or @FILE, or -.")]

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
def list_connections(context: typer.Context, *, instance: Instance = False, output: Output = Format.TABLE) -> None:
    """Show all connections, without their secrets."""
    with service(context) as taske:
        show_list(_place(taske, instance=instance).list(), _COLUMNS, output)


@app.command("create")
def create(  # noqa: PLR0913 - its options
    context: typer.Context,
    module: str,
    *,
    name: Annotated[str, typer.Option(help="What you call it.")],
    auth: Annotated[str | None, typer.Option(help="The way to connect; needed if the module has several.")] = None,
    field: Field = None,
    fields: Fields = None,
    capability: Annotated[
        list[str] | None, typer.Option(help="What it is for, where you allow it elsewhere; all by default.")
    ] = None,
    instance: Instance = False,
    output: Output = Format.TABLE,
) -> None:
    """Connect to a module. Fields that are missing are asked for if there is a terminal.

    Where the service asks you to allow it, the address to open is printed; with a terminal, this waits until you did.
    """
    values = _given(field, fields)
    with service(context) as taske:
        place = _place(taske, instance=instance)
        scheme = _scheme(taske, module, auth, owner="instance" if instance else "connection")
        values |= _asked(scheme, values)
        if scheme.consent:
            wish = {"auth": scheme.id, "name": name, "fields": values, "capabilities": capability}
            _consent(taske, place, place.authorize(module, **wish), output)
            return
        show_list([place.create(module, scheme.id, name, values)], _COLUMNS, output)


@app.command("update")
def update(
    context: typer.Context,
    connection: Name,
    *,
    name: Annotated[str | None, typer.Option(help="What you call it from now on.")] = None,
    field: Field = None,
    fields: Fields = None,
    instance: Instance = False,
    output: Output = Format.TABLE,
) -> None:
    """Rename a connection, or replace its fields; changing an open field needs the secrets again."""
    values = _given(field, fields)
    with service(context) as taske:
        place = _place(taske, instance=instance)
        show_list([place.update(connection_id(place, connection), name=name, values=values or None)], _COLUMNS, output)


@app.command("reconnect")
def reconnect(
    context: typer.Context,
    connection: Name,
    *,
    capability: Annotated[list[str] | None, typer.Option(help="What else it is to be good for.")] = None,
    instance: Instance = False,
    output: Output = Format.TABLE,
) -> None:
    """Allow a connection again, with what it was granted before and what more is named.

    One that is made from fields is given its secrets again, which are asked for if there is a terminal.
    """
    with service(context) as taske:
        place, found = _found(taske, connection, instance=instance)
        scheme = next(way for way in taske.modules.get(found.module).auth if way.id == found.auth)
        if scheme.consent:
            begun = place.authorize(connection=found.id, capabilities=capability)
            _consent(taske, place, begun, output)
            return
        values = _asked(scheme, found.fields, again=True)
        if not values:
            raise typer.BadParameter(f"it is made from fields: taske connection update {found.id} --field NAME=@FILE")
        show_list([place.update(found.id, values=values)], _COLUMNS, output)


@app.command("test")
def test(context: typer.Context, connection: Name, *, instance: Instance = False) -> None:  # noqa: PT028 - a command
    """Ask the service behind a connection whether it works; exit 1 if not."""
    with service(context) as taske, working("Waiting for the service"):
        place = _place(taske, instance=instance)
        result = place.test(connection_id(place, connection))
    if not result.ok:
        complain(f"taske: {told(result.error) or 'the connection does not work'}")
        raise typer.Exit(1)
    say(f"ok  {result.label or ''}".rstrip())


@app.command("delete")
def delete(context: typer.Context, connection: Name, *, instance: Instance = False) -> None:
    """Delete a connection and its secrets."""
    with service(context) as taske:
        place = _place(taske, instance=instance)
        found = connection_id(place, connection)
        place.delete(found)
    say(f"Deleted {found}")


def _place(taske: "Taske", *, instance: bool) -> "Connections":
    return taske.instance_connections if instance else taske.connections


def _found(taske: "Taske", name: str, *, instance: bool) -> "tuple[Connections, Connection]":
    """The connection that is meant. An id that is none of the caller's may be the instance's, as mails name it."""
    place = _place(taske, instance=instance)
    wanted = connection_id(place, name)
    try:
        return place, place.get(wanted)
    except NotFound:
        if instance:
            raise
        try:
            return taske.instance_connections, taske.instance_connections.get(wanted)
        except Forbidden:
            raise NotFound(f"There is no connection {wanted}.") from None


def _consent(taske: "Taske", place: "Connections", begun: "BegunAuthorization", output: Format) -> None:
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
    show_list([place.get(now.connection)], _COLUMNS, output)


def _scheme(taske: "Taske", module: str, auth: str | None, *, owner: str) -> "AuthScheme":
    known = taske.modules.get(module).auth
    schemes = [scheme for scheme in known if scheme.owner == owner and (scheme.available or owner == "instance")]
    names = ", ".join(scheme.id for scheme in schemes)
    found = [scheme for scheme in schemes if auth in (None, scheme.id)]
    if not found:
        raise typer.BadParameter(f"{module} offers {names or 'no way to connect'}", param_hint="--auth")
    if len(found) > 1:
        raise typer.BadParameter(f"{module} offers several ways: {names}", param_hint="--auth")
    return found[0]


def _asked(scheme: "AuthScheme", given: dict[str, Any], *, again: bool = False) -> dict[str, Any]:
    """What is required and missing, asked for without echo; nothing without a terminal: the service then says.

    `again`: secrets are asked for, whether they are there or not.
    """
    properties = scheme.fields.get("properties", {})
    secret = [name for name, schema in properties.items() if isinstance(schema, dict) and schema.get("x-secret")]
    missing = [name for name in scheme.fields.get("required", ()) if name not in given or (again and name in secret)]
    return {name: typer.prompt(name, hide_input=True, err=True) for name in missing} if is_terminal() else {}


def _given(field: list[str] | None, fields: str | None) -> dict[str, Any]:
    return (read_object(fields) or {}) | dict(map(_pair, field or ()))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--field")
    return name, read_text(value[1:]).rstrip("\n") if value.startswith("@") else value
