"""Filters about any value: defaults, JSON, and whether there is something at all."""

import json
import math
from typing import Any, NoReturn

from taske_ray.core.template.filters.guard import Filter, FilterError, string_of
from taske_ray.core.template.json_text import compact_json, text_of
from taske_ray.core.template.limits import Work


def _default(_: Work, value: Any, other: Any = "", *, allow_false: Any = False) -> Any:
    if value is False:
        return value if allow_false is True else other
    return other if value is None or (isinstance(value, str | list | dict) and not value) else value


def _present(_: Work, value: Any) -> bool:
    if isinstance(value, str):
        return bool(value) and not value.isspace()
    if isinstance(value, list | dict | tuple | range):
        return len(value) > 0
    return value is not None and value is not False


def _parse_json(work: Work, value: Any) -> Any:
    text = string_of(value)
    # The costliest text is `[1,1,1…]`: a number for every other character
    work.charge(len(text) * 10)
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        raise FilterError("the text is not JSON") from None


def _refuse(_: str) -> NoReturn:
    raise ValueError


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


filters = (
    Filter("default", _default, takes_missing=True, shallow=True),
    Filter("present", _present, false_if_missing=True),
    Filter("str", lambda work, value: text_of(value, work), passes=True),
    Filter("json", lambda work, value: compact_json(value, work)),
    Filter("parse_json", _parse_json, passes=True),
)
