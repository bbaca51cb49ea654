"""What commands print: tables for people, JSON and YAML for programs; never a control character from foreign data."""

import json
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.table import Table
from rich.text import Text

_BIDI = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
_PATIENCE_S = 2.0


class Format(StrEnum):
    """How a command prints its result."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Output = Annotated[Format, typer.Option("-o", "--output", help="How to print the result.")]
Column = tuple[str, Callable[[Any], Any]]


def clean(value: Any) -> str:
    """A value as one line of plain text: control and direction characters of foreign data cannot reach a terminal."""
    text = "" if value is None else _told(value)
    return "".join(_visible(character) for character in text)


def show_list(rows: Iterable[Any], columns: Sequence[Column], output: Format) -> None:
    """Print models or mappings: chosen columns for people, everything for programs."""
    found = list(rows)
    if output is not Format.TABLE:
        say_document([plain(row) for row in found], output)
        return
    say_table([name for name, _ in columns], [[read(row) for _, read in columns] for row in found])


def show_one(row: Any, columns: Sequence[Column], output: Format) -> None:
    """Print one thing: name and value per line for people."""
    if output is not Format.TABLE:
        say_document(plain(row), output)
        return
    width = max(len(name) for name, _ in columns)
    for name, read in columns:
        value = clean(read(row))
        if value:
            say(f"{name:<{width}}  {value}")


def say(line: str = "") -> None:
    """Print one line as it is."""
    sys.stdout.write(line + "\n")


def say_table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print aligned columns; without a terminal nothing is cut."""
    console = Console(highlight=False, soft_wrap=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=10_000, no_color=True)
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in names:
        table.add_column(name, overflow="fold", no_wrap=not console.is_terminal)
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    with console.capture() as capture:
        console.print(table)
    for line in capture.get().splitlines():
        say(line.rstrip())


def say_document(value: Any, output: Format) -> None:
    """Print JSON values as JSON or YAML."""
    sys.stdout.write(yaml_text(value) if output is Format.YAML else _json_text(value, indent=2) + "\n")


def say_line(value: Any) -> None:
    """Print JSON values on one line: one of a stream."""
    say(_json_text(value, indent=None))


def yaml_text(value: Any) -> str:
    """JSON values as YAML that reads back to the same values: texts that look like something else are quoted."""
    import yaml

    return str(yaml.safe_dump(value, allow_unicode=True, sort_keys=False, width=120))


def plain(row: Any) -> Any:
    """A model as JSON values, with the names of the wire."""
    return row.model_dump(mode="json", by_alias=True) if isinstance(row, BaseModel) else row


def attribute(name: str) -> Callable[[Any], Any]:
    """A column that reads an attribute, or the entry of a mapping."""

    def read(row: Any) -> Any:
        return row.get(name) if isinstance(row, Mapping) else getattr(row, name)

    return read


def complain(message: str) -> None:
    """One line about what went wrong, where errors go."""
    sys.stderr.write(clean(message) + "\n")


def is_terminal() -> bool:
    """Whether a person can be asked something."""
    return sys.stdin.isatty() and sys.stderr.isatty()


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show that something goes on: a spinner on a terminal, otherwise one line, and only after two seconds."""
    console = Console(stderr=True)
    status = console.status(text) if console.is_terminal else None
    timer = threading.Timer(_PATIENCE_S, status.start if status else lambda: complain(f"{text} …"))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if status:
            status.stop()


def _told(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else _json_text(value, indent=None)


def _visible(character: str) -> str:
    if character in "\r\n\t\v\f\u2028\u2029":
        return " "
    return "" if unicodedata.category(character) in ("Cc", "Cs") or character in _BIDI else character


def _json_text(value: Any, *, indent: int | None) -> str:
    """JSON in UTF-8, with what could steer a terminal escaped (C0 controls are escaped by JSON itself)."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    return "".join(
        f"\\u{ord(character):04x}" if character in _BIDI or 0x7F <= ord(character) <= 0x9F else character  # noqa: PLR2004 - C1 controls
        for character in text
    )
