"""Filters over arrays. Elements are compared as JSON values; what comparing or joining costs is charged."""

import math
from collections.abc import Callable
from itertools import islice
from typing import Any

from taske_ray.core.template.filters.guard import Filter, FilterError, array_of
from taske_ray.core.template.filters.paths import member
from taske_ray.core.template.json_text import compact_json, equal, text_of
from taske_ray.core.template.limits import Work, element_units, longest_text, over_limit

Test = Callable[[Any], bool]


def _elements(value: Any) -> list[Any]:
    """What Liquid's array filters work on: an array as it is, anything else as the only element, null as none."""
    if isinstance(value, list | tuple | range):
        return list(value)
    return [] if value is None else [value]


def _test(work: Work, key: Any, wanted: Any) -> Test:
    """Whether an element's member equals `wanted`, or is neither null nor false when nothing is wanted."""
    if wanted is None:
        return lambda element: _is_true(member(work, element, key))
    return lambda element: equal(member(work, element, key), wanted, work)


def _is_true(value: Any) -> bool:
    return value is not None and value is not False


def _where(work: Work, value: Any, key: Any, wanted: Any = None) -> list[Any]:
    return list(filter(_test(work, key, wanted), _elements(value)))


def _reject(work: Work, value: Any, key: Any, wanted: Any = None) -> list[Any]:
    test = _test(work, key, wanted)
    return [element for element in _elements(value) if not test(element)]


def _find(work: Work, value: Any, key: Any, wanted: Any = None) -> Any:
    return next(filter(_test(work, key, wanted), _elements(value)), None)


def _find_index(work: Work, value: Any, key: Any, wanted: Any = None) -> int | None:
    test = _test(work, key, wanted)
    return next((index for index, element in enumerate(_elements(value)) if test(element)), None)


def _has(work: Work, value: Any, key: Any, wanted: Any = None) -> bool:
    return any(map(_test(work, key, wanted), _elements(value)))


def _first(_: Work, value: Any) -> Any:
    if isinstance(value, dict):
        return next(([key, part] for key, part in islice(value.items(), 1)), None)
    return value[0] if isinstance(value, list | tuple | range) and value else None


def _last(_: Work, value: Any) -> Any:
    return value[-1] if isinstance(value, list | tuple | range) and value else None


def _concat(_: Work, value: Any, other: Any) -> list[Any]:
    return [*_elements(value), *array_of(other)]


def _compact(work: Work, value: Any, key: Any = None) -> list[Any]:
    elements = _elements(value)
    return [element for element in elements if (element if key is None else member(work, element, key)) is not None]


def _join(work: Work, value: Any, separator: Any = " ") -> str:
    between = text_of(separator, work)
    parts, size = [], 0
    for element in array_of(value):
        parts.append(text_of(element, work))
        size += len(parts[-1]) + len(between)
        if size - len(between) > longest_text:
            raise over_limit("A text is longer than 1 MiB")
    work.charge(size)
    return between.join(parts)


def _sort(work: Work, value: Any, key: Any = None) -> list[Any]:
    pairs = [(element if key is None else member(work, element, key), element) for element in array_of(value)]
    known = [pair for pair in pairs if pair[0] is not None]
    kinds = {_kind(pair[0]) for pair in known}
    if len(kinds) > 1 or "other" in kinds:
        raise FilterError("only numbers, or only texts, can be put in order")
    _charge_sorting(work, [pair[0] for pair in known])
    known.sort(key=lambda pair: pair[0])
    return [pair[1] for pair in known] + [pair[1] for pair in pairs if pair[0] is None]


def _kind(value: Any) -> str:
    for kind, name in ((bool, "boolean"), (int, "number"), (float, "number"), (str, "text")):
        if isinstance(value, kind):
            return name
    return "other"


def _charge_sorting(work: Work, keys: list[Any]) -> None:
    """Sorting compares each element about log₂ n times, and a text costs its length each time."""
    rounds = max(1, math.ceil(math.log2(len(keys) + 1)))
    text = sum(len(key) for key in keys if isinstance(key, str))
    work.charge(rounds * (len(keys) * element_units // 4 + text // 16))


def _sort_natural(work: Work, value: Any, key: Any = None) -> list[Any]:
    pairs = [(element if key is None else member(work, element, key), element) for element in _elements(value)]
    known = [(_folded(work, found), element) for found, element in pairs if found is not None]
    _charge_sorting(work, [name for name, _ in known])
    known.sort(key=lambda pair: pair[0])
    return [element for _, element in known] + [element for found, element in pairs if found is None]


def _folded(work: Work, value: Any) -> str:
    text = text_of(value, work)
    work.charge(2 * len(text))
    return text.lower()


def _uniq(work: Work, value: Any, key: Any = None) -> list[Any]:
    seen: dict[Any, Any] = {}
    for element in array_of(value):
        found = element if key is None else member(work, element, key)
        seen.setdefault(_identity(work, found), element)
    return list(seen.values())


def _identity(work: Work, value: Any) -> Any:
    """A hashable stand-in that is equal exactly for equal JSON values."""
    if isinstance(value, str):
        work.charge(len(value) // 4)
        return value
    if isinstance(value, list | dict | tuple | range):
        return ("json", compact_json(value, work, sort_keys=True))
    return ("boolean", value) if isinstance(value, bool) else ("scalar", value)


def _size(_: Work, value: Any) -> int:
    return len(value) if isinstance(value, str | list | dict | tuple | range) else 0


def _one_of(work: Work, value: Any, *choices: Any) -> bool:
    options = choices[0] if len(choices) == 1 and isinstance(choices[0], list) else choices
    return any(equal(value, option, work) for option in options)


filters = (
    Filter("where", _where, factor=8),
    Filter("reject", _reject, factor=8),
    Filter("find", _find, factor=8),
    Filter("find_index", _find_index, factor=8),
    Filter("has", _has, factor=8),
    Filter("first", _first, shallow=True),
    Filter("last", _last, shallow=True),
    Filter("concat", _concat),
    Filter("compact", _compact, factor=2),
    Filter("reverse", lambda _, value: list(reversed(_elements(value)))),
    Filter("join", _join),
    Filter("sort", _sort, factor=4),
    Filter("sort_natural", _sort_natural, factor=4),
    Filter("uniq", _uniq, factor=6),
    Filter("size", _size, shallow=True),
    Filter("one_of", _one_of, false_if_missing=True),
)
