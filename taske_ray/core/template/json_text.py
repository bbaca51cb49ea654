"""JSON values inside templates: reading a path step by step, and how a value becomes text (format 2.1).

Equality here is JSON's: `true` is not `1`, `1` is `1.0`.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from taske_ray.core.template.limits import (
    Work,
    check_size,
    compare_units,
    element_units,
    float_units,
    json_units,
    largest_number,
    longest_text,
    over_limit,
)
from taske_ray.errors import TemplateError

missing: Any = type("Missing", (), {"__slots__": (), "__repr__": lambda _: "missing"})()
"""What a path that leads nowhere gives; never part of a result."""


def step(value: Any, key: Any) -> Any:
    """The member or element at `key`, or `missing`. Arrays know `first`, `last` and `size`, the rest `size`."""
    if type(value) is not dict:
        if isinstance(value, list | tuple | range):
            return _element(value, key)
        if isinstance(value, str) or not isinstance(value, Mapping):
            return len(value) if key == "size" and isinstance(value, str) else missing
    if isinstance(key, str):
        return value[key] if key in value else len(value) if key == "size" else missing
    return missing


def _element(array: list[Any] | tuple[Any, ...] | range, key: Any) -> Any:
    if key == "size":
        return len(array)
    index = {"first": 0, "last": -1}.get(key) if isinstance(key, str) else key
    if isinstance(index, int) and not isinstance(index, bool) and -len(array) <= index < len(array):
        return array[index]
    return missing


def as_json(value: Any) -> Any:
    """A result as JSON, ranges and pairs as arrays; `template_type` if it is none, `template_limit` if it is large."""
    kind = type(value)
    if kind is str and len(value) <= longest_text:
        return value
    if value is None or kind is bool or kind is int:
        return value
    if kind is float:
        if not math.isfinite(value):
            raise TemplateError("template_type", "The result is not a finite number.")
        return value
    if kind in (str, dict, list):
        check_size(value)
        return value
    if isinstance(value, range | tuple):
        check_size(value)
        return list(value)
    for plain in _plain_kinds:
        # A subclass (an enum, an ordered dictionary) is the plain type it stands for
        if isinstance(value, plain):
            return as_json(plain(value))
    raise TemplateError("template_type", "The result is not a JSON value.")


_plain_kinds: tuple[Any, ...] = (str, int, float, dict, list)


def text_of(value: Any, work: Work) -> str:
    """A value as text: text as it is, null empty, numbers and booleans as in JSON, the rest compact JSON.

    `template_limit` over 1 MiB, `template_type` for what JSON cannot say.
    """
    if type(value) is str:
        text = value
    elif value is None:
        return ""
    elif isinstance(value, bool):
        return "true" if value else "false"
    elif type(value) is int and -largest_number < value < largest_number:
        return repr(value)
    elif type(value) is float and math.isfinite(value):
        work.charge(float_units)
        return repr(value)
    else:
        text = compact_json(value, work)
    if len(text) > longest_text:
        raise over_limit("A text is longer than 1 MiB")
    return text


def compact_json(value: Any, work: Work, *, sort_keys: bool = False) -> str:
    """Compact JSON with the keys in their order (or sorted: the canonical form)."""
    if isinstance(value, list | dict | tuple | range):
        work.charge(json_units)
        work.charge_deep(value, 2)  # counting it, and writing it
    elif isinstance(value, str):
        work.charge(len(value))
    try:
        text = (_canonical if sort_keys else _compact).encode(value)
    except (TypeError, ValueError):
        raise TemplateError("template_type", "A value cannot be written as JSON.") from None
    if len(text) > longest_text:
        raise over_limit("A value is longer than 1 MiB of JSON")
    return text


def _array(value: Any) -> list[Any]:
    if isinstance(value, range):
        return list(value)
    raise TypeError


def _encoder(*, sort_keys: bool) -> json.JSONEncoder:
    separators = (",", ":")
    return json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=separators, sort_keys=sort_keys, default=_array
    )


_compact, _canonical = _encoder(sort_keys=False), _encoder(sort_keys=True)


def equal(left: Any, right: Any, work: Work) -> bool:
    """Whether two JSON values are equal; what it costs to compare them is charged."""
    if left is right:
        return True
    if isinstance(left, str) and isinstance(right, str):
        work.charge(len(left) // 16 if len(left) == len(right) else 1)
        return left == right
    work.charge(compare_units)
    if isinstance(left, bool) or isinstance(right, bool):
        # `true` and `1` are one number to Python; two equal booleans are one object, met above
        return False
    if isinstance(left, list | tuple | range) and isinstance(right, list | tuple | range):
        return len(left) == len(right) and all(equal(one, other, work) for one, other in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        work.charge(element_units * len(left))
        return left.keys() == right.keys() and all(equal(left[name], right[name], work) for name in left)
    return bool(left == right)
