"""Reading members by a path in text: `a.b[0].c`, `$.a`, or a JSON Pointer `/a/b/0`."""

import re
from typing import Any

from taske_ray.core.template.filters.guard import Filter, FilterError, array_of, object_of, string_of
from taske_ray.core.template.json_text import missing, step, text_of
from taske_ray.core.template.limits import Work

longest_path = 1_000
_part = re.compile(r"\.?([^.\[\]]+)|\[(-?[0-9]{1,6})\]|\[(?:'([^']*)'|\"([^\"]*)\")\]")


def dig(work: Work, value: Any, path: Any) -> Any:
    """The value at a path, null if there is none; `''` is the value itself. FilterError if the path is not text."""
    text = string_of(path)
    if len(text) > longest_path:
        raise FilterError("the path is too long")
    work.charge(300 + len(text) * 60)
    keys = _pointer(text) if text.startswith("/") else _dotted(text)
    for key in keys:
        value = _inner(value, key)
        if value is missing:
            return None
    return value


def _inner(value: Any, key: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(str(key), missing)
    if isinstance(value, list | tuple | range) and isinstance(key, str):
        return step(value, int(key)) if key.isascii() and key.isdigit() and len(key) < 7 else missing  # noqa: PLR2004
    return step(value, key) if isinstance(key, int) else missing


def _pointer(text: str) -> list[str | int]:
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


def _dotted(text: str) -> list[str | int]:
    rest = text[1:] if text == "$" or text.startswith(("$.", "$[")) else text
    keys: list[str | int] = []
    position = 0
    while position < len(rest):
        found = _part.match(rest, position)
        if found is None:
            raise FilterError("the path is not like 'a.b[0].c'")
        name, index, single, double = found.groups()
        keys.append(
            int(index) if index is not None else next(text for text in (name, single, double) if text is not None)
        )
        position = found.end()
    return keys


def member(work: Work, element: Any, key: Any) -> Any:
    """What a key names in an element: the member of that name, else the value at it as a dotted path; null if none."""
    if isinstance(element, dict) and isinstance(key, str) and key in element:
        return element[key]
    if isinstance(key, int) and not isinstance(key, bool):
        found = step(element, key)
        return None if found is missing else found
    return dig(work, element, key)


def _map(work: Work, value: Any, key: Any) -> list[Any]:
    return [member(work, element, text_of(key, work)) for element in array_of(value)]


filters = (
    Filter("dig", dig, passes=True),
    Filter("map", _map, factor=2),
    Filter("keys", lambda _, value: list(object_of(value))),
    Filter(
        "entries", lambda _, value: [{"key": key, "value": part} for key, part in object_of(value).items()], factor=2
    ),
    Filter("merge", lambda _, value, other: {**object_of(value), **object_of(other)}),
)
