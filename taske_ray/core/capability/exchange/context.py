"""What one call brings along: parameters, the opened connection, the moment, and where a poll starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ConnectionValues:
    """An opened connection: its scheme, plain fields and decrypted ones. Only inside an IntegrationClient."""

    auth_id: str
    config: Mapping[str, Any] = field(default_factory=dict)
    secret: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Kept(Protocol):
    """Outputs of `pre` requests of one user, connection and capability, as JSON by name, until their time is over."""

    def find(self, name: str) -> str | None:
        """What is kept under a name."""
        ...

    def keep(self, name: str, output: str, seconds: int) -> None:
        """Keep an output for so long, if there is room."""
        ...


@dataclass(frozen=True, slots=True)
class CallContext:
    """One call. `params` are filled (`ParamsSchema.fill`); `now` is RFC 3339; `cursor` has `from` and `value`.

    `validators` are those of the last poll (`etag`, `last_modified`); `idempotency_key` is the step's, if any.
    `kept` is where outputs of `pre` requests are kept for this user and connection; None: nowhere.
    """

    params: Mapping[str, Any]
    now: str
    connection: ConnectionValues | None = None
    run_id: str = ""
    step: str = ""
    cursor: Mapping[str, Any] | None = None
    validators: Mapping[str, str] | None = None
    idempotency_key: str | None = None
    kept: Kept | None = None
