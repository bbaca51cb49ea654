"""Where a request came from: for the list of sessions, for throttling and for the audit trail."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """The network address of the client, as far as it is known, and what it calls itself."""

    address: str | None = None
    user_agent: str | None = None


nowhere = Origin()
"""The origin of what comes from no network: the operator's commands."""
