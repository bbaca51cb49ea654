"""Regular expressions on RE2 only: linear time, no look-around, no back-references (security 11.5)."""

from functools import lru_cache
from typing import Any

import re2

from taske_ray.core.template.filters.guard import Filter, FilterError, string_of
from taske_ray.core.template.json_text import text_of
from taske_ray.core.template.limits import Work

longest_pattern = 1_000
_memory = 1 << 20


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _memory
    try:
        return re2.compile(pattern, options)  # type: ignore[no-untyped-call] # the library has no types
    except re2.error:
        raise FilterError("the pattern is not a regular expression of RE2") from None


def check_pattern(pattern: Any, *_: Any) -> Any:
    """The compiled pattern; FilterError if it is none."""
    if len(string_of(pattern)) > longest_pattern:
        raise FilterError("the pattern is longer than 1,000 characters")
    return _compiled(pattern)


def _search(work: Work, text: str, pattern: Any) -> Any:
    compiled = check_pattern(pattern)
    # RE2 is linear in the text, but its slow way is also linear in the size of the compiled pattern
    work.charge(800 + len(text) * (1 + compiled.programsize // 16))
    return compiled.search(text)


def _regex(work: Work, value: Any, pattern: Any, group: Any = 0) -> str | None:
    found = _search(work, string_of(value), pattern)
    compiled = check_pattern(pattern)
    known = group in compiled.groupindex if isinstance(group, str) else _is_number(group, compiled.groups)
    if not known:
        raise FilterError("the pattern has no such group")
    return None if found is None else found.group(group)


def _is_number(group: Any, groups: int) -> bool:
    return isinstance(group, int) and not isinstance(group, bool) and 0 <= group <= groups


def _matches(work: Work, value: Any, pattern: Any) -> bool:
    return _search(work, text_of(value, work), pattern) is not None


filters = (
    Filter("regex", _regex, passes=True, check=check_pattern),
    Filter("matches", _matches, false_if_missing=True, check=check_pattern),
)
