"""Names of ours from names of theirs: lower case, words joined by `_`, unique where they have to be."""

import re
from collections.abc import Container

_longest = 40
_reserved_words = """
offset limit for as in if else with required cols continue reversed contains not and or empty blank nil null
true false
"""
_reserved = frozenset(_reserved_words.split())


def identifier(text: str, fallback: str = "x") -> str:
    """`petFindByStatus`, `Find-by status` -> `pet_find_by_status`, `find_by_status`; at most 40 characters."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text)
    joined = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:_longest].strip("_")
    if not joined:
        return fallback
    return joined if joined[0].isalpha() else f"{fallback}_{joined}"[:_longest]


def unique(name: str, taken: Container[str]) -> str:
    """The name, or the name with the first number that makes it a new one."""
    if name not in taken:
        return name
    number = 2
    while f"{name[: _longest - 4]}_{number}" in taken:
        number += 1
    return f"{name[: _longest - 4]}_{number}"


def reference(name: str) -> str:
    """A template that reads a parameter; names that are words of Liquid need brackets."""
    return f"{{{{ params['{name}'] }}}}" if name in _reserved else f"{{{{ params.{name} }}}}"
