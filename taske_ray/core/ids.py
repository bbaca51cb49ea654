"""Identifiers on the wire: a type prefix and the UUID's 32 hex digits, like `task_0192f0c4…`."""

from typing import Literal
from uuid import UUID

from taske_ray.errors import NotFound

type_prefixes = ("user", "session", "key", "conn", "task", "trigger", "run", "mail", "host")
Prefix = Literal["user", "session", "key", "conn", "task", "trigger", "run", "mail", "host"]


def format_id(prefix: Prefix, value: UUID) -> str:
    """The wire form of an identifier."""
    return f"{prefix}_{value.hex}"


def parse_id(prefix: Prefix, text: str) -> UUID:
    """The UUID in a wire identifier; a malformed one is `NotFound`, exactly like a missing one."""
    head, _, digits = text.partition("_")
    if head != prefix or len(digits) != 32 or digits != digits.lower():  # noqa: PLR2004 - hex digits of a UUID
        raise NotFound
    try:
        return UUID(hex=digits)
    except ValueError:
        raise NotFound from None
