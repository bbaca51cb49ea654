"""What came of an attempt. Expected outcomes are values, matched, never raised."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ErrorClass(StrEnum):
    """Why a call failed (format, section 5); it decides what happens next."""

    RATE_LIMITED = "rate_limited"
    AUTH_EXPIRED = "auth_expired"
    AUTH_REVOKED = "auth_revoked"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    INVALID = "invalid"
    TRANSIENT = "transient"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The service did it. `output` is mapped; `request` is the request as sent, with secrets masked."""

    output: Any
    http_status: int | None = None
    request: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """A known failure: a complete answer that means no, or nothing was sent (`sent=False`).

    `code` is stable (`template_undefined`, `egress_denied`, `http_error`, …), `message` says what to do.
    `retry_after_s` is how long the service asked us to wait.
    """

    error_class: ErrorClass
    code: str
    message: str
    http_status: int | None = None
    retry_after_s: float | None = None
    sent: bool = True
    request: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Bytes may have left and no complete answer came back: nobody can know whether the service did it."""

    message: str
    code: str = "unknown_outcome"
    request: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a poll saw (format, section 6): items in the order of the list, and how the paging ended.

    `passed` are the cursor values of the items that the filter dropped: they were seen, so the cursor moves past them.
    """

    items: tuple["PolledItem", ...] = ()
    truncated: bool = False
    not_modified: bool = False
    invalid: int = 0
    filtered: int = 0
    passed: tuple[Any, ...] = ()
    validators: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PolledItem:
    """One item of a poll: its identity as text, its version key if there is one, its cursor value, and its output."""

    key: str
    output: Any
    version_key: str | None = None
    cursor_value: Any = None


Outcome = Succeeded | Failed | Unknown | Fetched
