"""The audit trail: one's own, and an administrator's view of all."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from taske_ray.schemas.audit import Act
from taske_ray.sdk.faces import AsyncLine, Line
from taske_ray.sdk.requests import Request, each, get, path


class Audit:
    """What was done that matters for security; kept for 90 days."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def list(self, *, everybody: bool = False, **only: Any) -> Iterator[Act]:
        """The caller's acts, newest first; with `everybody` those of all users, for administrators.

        `only`: action (`task.delete`, or `task` for all that begin so), result, since, until; user_id of everybody's.
        A user's own are for who is logged in, not for API keys.
        """
        return self._line.stream(each(Act, listing(everybody=everybody, **only)))


class AsyncAudit:
    """What was done that matters for security, asynchronously; kept for 90 days."""

    def __init__(self, line: AsyncLine) -> None:
        self._line = line

    def list(self, *, everybody: bool = False, **only: Any) -> AsyncIterator[Act]:
        """The caller's acts, newest first; with `everybody` those of all users, for administrators.

        `only`: action (`task.delete`, or `task` for all that begin so), result, since, until; user_id of everybody's.
        A user's own are for who is logged in, not for API keys.
        """
        return self._line.stream(each(Act, listing(everybody=everybody, **only)))


def listing(*, everybody: bool, **only: Any) -> Request:
    """Ask for acts."""
    return get(path("api", "v1", "admin", "audit") if everybody else path("auth", "audit"), **only)
