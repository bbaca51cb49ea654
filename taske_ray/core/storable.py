r"""JSON values that every store takes: no NUL, no half characters, no numbers beyond 64 bits, no bottomless nesting.

What comes from outside may hold them (JSON allows `\u0000`, `1e999` and a thousand brackets), PostgreSQL and the
JSON writer do not. Text is mended visibly; nothing is dropped.
"""

import math
from typing import Any

deepest = 200
_largest_integer = 2**63 - 1
_replacement = "\ufffd"


def storable(value: Any) -> Any:
    """The same value if it can be stored (nearly always), else a mended copy; ValueError if it is nested too deep.

    NUL and half characters become U+FFFD, an integer beyond 64 bits its digits as text, a number that is none null.
    """
    return value if _is_storable(value) else _mended(value)


def _is_storable(value: Any) -> bool:
    todo = [(value, 0)]
    good = True
    while todo:
        item, depth = todo.pop()
        if depth > deepest:
            raise ValueError(f"nested deeper than {deepest} levels")
        if isinstance(item, dict):
            good = good and all(_is_good_text(key) for key in item)
            todo.extend((part, depth + 1) for part in item.values())
        elif isinstance(item, (list, tuple)):
            todo.extend((part, depth + 1) for part in item)
        elif isinstance(item, str):
            good = good and _is_good_text(item)
        elif isinstance(item, (int, float)):
            good = good and _is_good_number(item)
    return good


def _mended(value: Any) -> Any:
    if isinstance(value, dict):
        return {_text(key): _mended(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_mended(part) for part in value]
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (int, float)) and not _is_good_number(value):
        return str(value) if isinstance(value, int) else None
    return value


def _is_good_text(text: str) -> bool:
    return "\0" not in text and (text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text))


def _text(text: str) -> str:
    mended = text.replace("\0", _replacement).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text if _is_good_text(text) else mended


def _is_good_number(number: float) -> bool:
    return abs(number) <= _largest_integer if isinstance(number, int) else math.isfinite(number)
