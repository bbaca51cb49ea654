"""What one call brings along: parameters, the opened connection, the moment, and where a poll starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ConnectionValues:
    """An opened connection: its scheme, plain fields and decrypted ones. Only inside an IntegrationClient."""

    auth_id: str
    config: Mapping[str, Any] = field(default_factory=dict)
    secret: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class CallContext:
    """One call. `params` are filled (`ParamsSchema.fill`); `now` is RFC 3339; `cursor` has `from` and `value`.

    `validators` are those of the last poll (`etag`, `last_modified`); `idempotency_key` is the step's, if any.
    """

    params: Mapping[str, Any]
    now: str
    connection: ConnectionValues | None = None
    run_id: str = ""
    step: str = ""
    cursor: Mapping[str, Any] | None = None
    validators: Mapping[str, str] | None = None
    idempotency_key: str | None = None
