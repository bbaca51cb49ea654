"""What a body must be: JSON, and strictly (security, 14). `intake.py` reads it."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Never

from starlette.requests import Request

from deployments.shared.problems import pointer
from taske_ray.errors import Invalid, UnsupportedMediaType

_max_depth = 64
_max_keys = 10_000
_max_elements = 100_000
_int64 = 2**63


def require_json(request: Request) -> None:
    """Raise UnsupportedMediaType unless the body says that it is plain JSON in UTF-8."""
    media, _, parameters = request.headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().partition("charset=")[2].strip("\"' ")
    if media.strip().lower() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise UnsupportedMediaType


def parse_json(data: bytes) -> Any:
    """The JSON value, or Invalid: keys written twice, NaN, NUL, half characters and boundless numbers are errors."""
    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except _Twice:
        raise _twice(text) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise Invalid.at("", "bad_json", f"The body is not JSON: {error}") from None
    _check(value)
    return value


class _Twice(Exception):
    """A key stands twice in one object."""


class _Pairs(list[tuple[str, Any]]):
    """An object with its keys as they were written."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _Twice
    return result


def _twice(text: str) -> Invalid:
    """The error about the first key that stands twice; read once more, because only now its place matters."""
    for path, part in _parts(json.loads(text, object_pairs_hook=_Pairs)):
        if isinstance(part, _Pairs):
            counts = Counter(name for name, _ in part)
            name = next((name for name, count in counts.items() if count > 1), None)
            if name is not None:
                return _invalid((*path, name), "duplicate_key", "This key stands twice in one object")
    raise AssertionError("no key stands twice")


def _refuse_constant(name: str) -> Never:
    raise Invalid.at("", "bad_number", f"{name} is not JSON")


def _check(value: Any) -> None:
    level, depth, keys, elements = [value], 0, 0, 0
    while level:
        depth += 1
        if depth > _max_depth:
            raise _too_deep()
        following: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                keys += len(part)
                following.extend(part.values())
                if any(_fault(name) for name in part):
                    raise _first_fault(value)
            elif isinstance(part, list):
                elements += len(part)
                following.extend(part)
            elif _fault(part):
                raise _first_fault(value)
        if keys > _max_keys or elements > _max_elements:
            raise Invalid.at("", "too_many", f"At most {_max_keys} keys and {_max_elements} array elements")
        level = following


def _fault(value: Any) -> tuple[str, str] | None:
    """What is wrong with a scalar: code and message."""
    if isinstance(value, str):
        if "\x00" in value:
            return "bad_text", "Text must not contain the character NUL"
        if not value.isascii() and _is_broken(value):
            return "bad_text", "Text must not contain half of a character"
    elif (isinstance(value, float) and not math.isfinite(value)) or (
        isinstance(value, int) and not -_int64 <= value < _int64
    ):
        return "bad_number", "Numbers are 64-bit integers or finite doubles"
    return None


def _is_broken(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _first_fault(value: Any) -> Invalid:
    """The error about the first scalar or key at fault, with its place."""
    for path, part in _parts(value):
        for name in part if isinstance(part, dict) else ():
            if fault := _fault(name):
                return _invalid((*path, name), *fault)
        if fault := _fault(part):
            return _invalid(path, *fault)
    raise AssertionError("nothing is at fault")


def _parts(value: Any) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every part of a value with its path, in the order of the text; no recursion, because nothing bounds the depth."""
    rest: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while rest:
        path, part = rest.pop()
        yield path, part
        if isinstance(part, _Pairs):
            inner = [((*path, name), each) for name, each in part]
        elif isinstance(part, dict):
            inner = [((*path, name), each) for name, each in part.items()]
        elif isinstance(part, list):
            inner = [((*path, number), each) for number, each in enumerate(part)]
        else:
            continue
        rest.extend(reversed(inner))


def _invalid(path: Sequence[str | int], code: str, message: str) -> Invalid:
    whole = pointer(path).encode("utf-8", "replace").decode()  # half a character cannot be answered either
    return Invalid.at(whole, code, message)


def _too_deep() -> Invalid:
    return Invalid.at("", "too_deep", f"JSON may be nested {_max_depth} deep")
