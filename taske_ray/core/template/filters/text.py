"""Filters over text. Input and arguments are text by rule 2.1 before they come here, so null is empty."""

import html
import re
from collections.abc import Callable
from typing import Any

from taske_ray.core.template.filters.guard import Filter, FilterError, whole_of
from taske_ray.core.template.json_text import text_of
from taske_ray.core.template.limits import Work, longest_text, most_elements, over_limit

_white = re.compile(r"\s+")
_line = re.compile(r"\r?\n")


def _replaced(work: Work, text: str, old: str, new: str, count: int) -> str:
    """`text.replace`, after computing how long the result will be."""
    found = text.count(old) if old else len(text) + 1
    found = min(found, count) if count >= 0 else found
    if len(text) + found * (len(new) - len(old)) > longest_text:
        raise over_limit("A text is longer than 1 MiB")
    work.charge(found * 4)
    return text.replace(old, new, count)


def _replace(work: Work, text: str, old: str, new: str = "") -> str:
    return _replaced(work, text, old, new, -1)


def _replace_first(work: Work, text: str, old: str, new: str = "") -> str:
    return _replaced(work, text, old, new, 1)


def _replace_last(_: Work, text: str, old: str, new: str = "") -> str:
    at = text.rfind(old)
    return text if at < 0 else text[:at] + new + text[at + len(old) :]


def _remove(work: Work, text: str, part: str) -> str:
    return _replaced(work, text, part, "", -1)


def _remove_first(work: Work, text: str, part: str) -> str:
    return _replaced(work, text, part, "", 1)


def _remove_last(work: Work, text: str, part: str) -> str:
    return _replace_last(work, text, part)


def _newline_to_br(work: Work, text: str) -> str:
    return _replaced(work, text.replace("\r\n", "\n"), "\n", "<br />\n", -1)


def _slice(work: Work, value: Any, start: Any, length: Any = 1) -> Any:
    sequence = value if isinstance(value, str | list | range) else text_of(value, work)
    first, count = whole_of(start), whole_of(length)
    if first < 0:
        first += len(sequence)
    if first < 0 or count <= 0:
        return "" if isinstance(sequence, str) else []
    part = sequence[first : first + count]
    return part if isinstance(part, str) else list(part)


def _split(_: Work, text: str, separator: str = " ") -> list[str]:
    if separator == "":
        parts = list(text[: most_elements + 1])
    elif text in ("", separator):
        parts = []
    else:
        parts = text.split(None if separator == " " else separator, most_elements)
    if len(parts) > most_elements:
        raise over_limit("An array or object has more than 10,000 elements")
    return parts


def _truncate(_: Work, text: str, length: str = "50", end: str = "...") -> str:
    limit = max(0, whole_of(length))
    return text if len(text) <= limit else text[: max(0, limit - len(end))] + end


def _truncatewords(_: Work, text: str, count: str = "15", end: str = "...") -> str:
    limit = max(1, whole_of(count))
    words = text.split(None, min(limit, longest_text))
    return " ".join(words) if len(words) <= limit else " ".join(words[:limit]) + end


def _strip_html(work: Work, text: str) -> str:
    """Without tags, comments, scripts and styles; one pass, each part looked at once."""
    work.charge(text.count("<") * 300)
    kept, position = [], 0
    nothing_after: set[str] = set()
    while (start := text.find("<", position)) >= 0:
        kept.append(text[position:start])
        end = _end_of_markup(text, start, nothing_after)
        if end is None:
            kept.append("<")
            end = start + 1
        position = end
    return "".join([*kept, text[position:]])


_blocks = (("<!--", "-->"), ("<script", "</script>"), ("<style", "</style>"), ("<", ">"))
_closers = {closer: re.compile(closer, re.IGNORECASE) for _, closer in _blocks}


def _end_of_markup(text: str, start: int, nothing_after: set[str]) -> int | None:
    """Where the markup at `start` ends; None if it never does. Closers known to come no more are not searched again."""
    head = text[start : start + 8].lower()
    for opener, closer in _blocks:
        if not head.startswith(opener) or closer in nothing_after:
            continue
        found = _closers[closer].search(text, start)
        if found:
            return found.end()
        nothing_after.add(closer)
    return None


_quotes = {"single": "'", "double": '"', "odata": "'"}


def _quote_literal(work: Work, value: Any, style: str = "single") -> str:
    text = text_of(value, work)
    if "\0" in text:
        raise FilterError("the text contains a NUL")
    check_style(style)
    quote = _quotes[style]
    if style == "odata":
        return f"'{text.replace(quote, quote * 2)}'"
    escaped = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
    return f"{quote}{escaped}{quote}"


def check_style(style: Any = "single", *_: Any) -> None:
    """FilterError for an unknown style of `quote_literal`."""
    if not isinstance(style, str) or style not in _quotes:
        raise FilterError("the style is one of single, double, odata")


def _text(name: str, function: Callable[..., Any], factor: int = 2) -> Filter:
    return Filter(name, function, as_text=True, factor=factor)


_simple: dict[str, tuple[Callable[[str], str], int]] = {
    "capitalize": (str.capitalize, 4),
    "downcase": (str.lower, 4),
    "upcase": (str.upper, 4),
    "strip": (str.strip, 1),
    "lstrip": (str.lstrip, 1),
    "rstrip": (str.rstrip, 1),
    "squish": (lambda text: _white.sub(" ", text.strip()), 20),
    "strip_newlines": (lambda text: _line.sub("", text), 20),
    "escape": (html.escape, 4),
}


def _lifted(operation: Callable[[str], str]) -> Callable[[Work, str], str]:
    return lambda _, text: operation(text)


filters = (
    *(_text(name, _lifted(operation), factor) for name, (operation, factor) in _simple.items()),
    _text("append", lambda _, text, other: text + other, 1),
    _text("prepend", lambda _, text, other: other + text, 1),
    _text("remove", _remove),
    _text("remove_first", _remove_first),
    _text("remove_last", _remove_last),
    _text("replace", _replace, 4),
    _text("replace_first", _replace_first),
    _text("replace_last", _replace_last),
    _text("newline_to_br", _newline_to_br, 4),
    _text("split", _split, 4),
    _text("truncate", _truncate, 1),
    _text("truncatewords", _truncatewords, 10),
    _text("strip_html", _strip_html),
    Filter("slice", _slice),
    Filter("quote_literal", _quote_literal, factor=3, check=check_style),
)
