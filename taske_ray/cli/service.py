"""How commands reach the service: the SDK, found by name or id, from files."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taske_ray.errors import Conflict, Invalid, NotFound, Unauthenticated

if TYPE_CHECKING:
    from taske_ray.sdk.client import Taske
    from taske_ray.sdk.connections import Connections

TaskName = Annotated[str, typer.Argument(metavar="TASK", help="Id or exact name of a task.")]
RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run.")]
Input = Annotated[str | None, typer.Option(help="The trigger's output for this run: a JSON object, or @FILE, or -.")]
_digits = 32


@contextmanager
def service(context: typer.Context) -> "Iterator[Taske]":
    """The service that this command talks to; `context.obj` makes the client (the tests' own, or `Taske`)."""
    connect: Callable[[], Taske] = context.obj
    with connect() as taske:
        try:
            yield taske
        except Unauthenticated as error:
            hint = f"{error.message} (taske login, or TASKE_API_KEY, for {taske.url})"
            raise Unauthenticated(hint, code=error.code) from error


def task_id(taske: "Taske", name: str) -> str:
    """The id of the task that is meant: an id as it is, else the one task of exactly this name."""
    if _is_id("task", name):
        return name
    found = [task.id for task in taske.tasks.list(limit=200) if task.name == name]
    return _the_one(found, "task", name)


def connection_id(connections: "Connections", name: str) -> str:
    """The id of the connection that is meant, by id or name."""
    if _is_id("conn", name):
        return name
    return _the_one([found.id for found in connections.list() if found.name == name], "connection", name)


def user_id(taske: "Taske", name: str) -> str:
    """The id of the account that is meant, by id or address (for administrators)."""
    if _is_id("user", name):
        return name
    return _the_one([found.id for found in taske.users.list(q=name) if found.email == name.casefold()], "account", name)


def read_document(source: str, *, most_bytes: int = 1024 * 1024) -> dict[str, Any]:
    """A YAML or JSON document from a file, or from standard input for `-`."""
    from taske_ray.catalog.document import parse_document

    text = read_text(source)
    try:
        return parse_document(text, most_bytes=most_bytes)
    except Invalid as error:
        where = "standard input" if source == "-" else source
        raise Invalid(f"{where}: {error.message}", errors=error.errors) from error


def read_object(argument: str | None) -> dict[str, Any] | None:
    """A JSON object given as text, as `@FILE` or as `-` for standard input."""
    if argument is None:
        return None
    text = read_text(argument.removeprefix("@")) if argument == "-" or argument.startswith("@") else argument
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise typer.BadParameter('a JSON object is needed, like {"note": "by hand"}')
    return value


def read_text(source: str) -> str:
    """The text of a file, or of standard input for `-`."""
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{source} is not UTF-8") from error
    except OSError as error:
        raise typer.BadParameter(f"{source}: {error.strerror}") from error


def _is_id(prefix: str, name: str) -> bool:
    head, _, digits = name.partition("_")
    return head == prefix and len(digits) == _digits and all(digit in "0123456789abcdef" for digit in digits)


def _the_one(found: list[str], kind: str, name: str) -> str:
    if not found:
        raise NotFound(f"There is no {kind} named {name!r}.")
    if len(found) > 1:
        raise Conflict(f"Several {kind}s are named {name!r}: {', '.join(found)}. Use an id.")
    return found[0]
