"""Readers of what is no template: texts, numbers, words, durations, addresses, labels."""

import re
from datetime import timedelta
from typing import Any

from taske_ray.core.capability.document.place import Place, Reader, T
from taske_ray.core.times import parse_duration
from taske_ray.core.url import BadUrl, parse_url

_id_pattern = re.compile(r"[a-z][a-z0-9_]{0,39}")
_capability_pattern = re.compile(r"[a-z][a-z0-9_]{0,39}(\.[a-z][a-z0-9_]{0,39}){1,2}")


def text(place: Place) -> str:
    """A literal text; a template in it is an error, because nothing would ever evaluate it."""
    if not isinstance(place.value, str):
        place.fail("wrong_type", "must be a text")
        return ""
    if "{{" in place.value or "{%" in place.value:
        place.fail("template_not_allowed", "this field is literal; a template is not evaluated here")
    return place.value


def boolean(place: Place) -> bool:
    """`true` or `false`."""
    if not isinstance(place.value, bool):
        place.fail("wrong_type", "must be true or false")
    return place.value is True


def integer(lowest: int, highest: int | None = None) -> Reader[int]:
    """An integer in a range, both ends included."""

    def read(place: Place) -> int:
        value = place.value
        if isinstance(value, bool) or not isinstance(value, int):
            place.fail("wrong_type", "must be an integer")
            return lowest
        if value < lowest or (highest is not None and value > highest):
            limits = f"at least {lowest}" if highest is None else f"from {lowest} to {highest}"
            place.fail("out_of_range", f"must be {limits}")
        return value

    return read


def one_of(words: str, reserved: str = "") -> Reader[str]:
    """One of some words; a `reserved` one is `unsupported`, any other `bad_enum`."""
    known = words.split()

    def read(place: Place) -> str:
        value = place.value
        if isinstance(value, str) and value in reserved.split():
            place.fail("unsupported", f"'{value}' is not supported yet")
        elif not isinstance(value, str):
            place.fail("wrong_type", "must be a text")
        elif value not in known:
            place.fail("bad_enum", f"must be one of: {', '.join(known)}")
        return value if isinstance(value, str) else known[0]

    return read


def identifier(place: Place) -> str:
    """A name of ours: lower-case letters, digits and `_`, at most 40."""
    return _matching(place, _id_pattern, "must be a lower-case name like 'list_files', at most 40 characters")


def capability_id(place: Place) -> str:
    """`<module>.<name>` or `<module>.<name>.<name>`."""
    return _matching(place, _capability_pattern, "must look like 'module.name' or 'module.name.name'")


def _matching(place: Place, pattern: re.Pattern[str], message: str) -> str:
    if not isinstance(place.value, str):
        place.fail("wrong_type", "must be a text")
        return ""
    if not pattern.fullmatch(place.value):
        place.fail("bad_id", message)
    return place.value


def duration(place: Place) -> timedelta:
    """An ISO 8601 duration such as `PT30S` or `P1D`; no years or months."""
    try:
        return parse_duration(place.value)
    except (ValueError, TypeError, AttributeError):
        place.fail("bad_duration", "must be an ISO 8601 duration such as PT30S, PT5M or P1D")
        return timedelta()


def address(place: Place) -> str:
    """An absolute https (or http: the egress guard decides) URL without user information."""
    value = text(place)
    if value and not is_address(value):
        place.fail("bad_url", "must be an absolute https URL")
    return value


def is_address(value: str) -> bool:
    """Whether a text is an http(s) URL as the egress guard reads one: what parsers see differently is none."""
    try:
        parse_url(value)
    except BadUrl:
        return False
    return True


def localised(place: Place) -> str | dict[str, str]:
    """A label: a text, or a map of languages with at least `en`."""
    if isinstance(place.value, str):
        return text(place)
    members = place.members()
    if isinstance(place.value, dict) and "en" not in members:
        place.fail("missing", "'en' is required", "/en")
    return {language: text(child) for language, child in members.items()}


def list_of(reader: Reader[T], lowest: int = 0, highest: int | None = None) -> Reader[tuple[T, ...]]:
    """An array whose elements are read by `reader`, with so many of them."""

    def read(place: Place) -> tuple[T, ...]:
        found = place.items()
        if isinstance(place.value, list) and (len(found) < lowest or (highest is not None and len(found) > highest)):
            place.fail("out_of_range", f"must have {lowest} to {highest} elements" if highest else "must not be empty")
        return tuple(reader(child) for child in found)

    return read


def anything(place: Place) -> Any:
    """Any JSON value, kept as data."""
    return place.value


def table(place: Place) -> dict[str, Any]:
    """Any object, kept as data."""
    place.members()
    return place.value if isinstance(place.value, dict) else {}
