"""Identifiers on the wire: a type prefix and the UUID's 32 hex digits, like `task_0192f0c4…`."""

from typing import Literal, get_args
from uuid import UUID, uuid5

from taske_ray.errors import NotFound

_instance = UUID("5b0e5a3e-6f5e-5d0c-9a51-7f3f4a0c2f10")
Prefix = Literal[
    "user", "session", "key", "conn", "task", "trigger", "run", "mail", "host", "authorization", "act", "identity"
]
type_prefixes: tuple[Prefix, ...] = get_args(Prefix)


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


def made_at_s(value: UUID) -> float:
    """When a UUIDv7 was made, in seconds since the epoch, by the clock of its writer."""
    return (value.int >> 80) / 1000


def instance_connection_id(module: str, auth: str) -> UUID:
    """The connection of the instance for a scheme: there is one at most, so everybody knows its id."""
    return uuid5(_instance, f"{module}/{auth}")
