"""What is said about consents: what a user wishes, what a browser brings back, and how both are shown and checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from taske_ray.core.capability import AuthScheme, Module
from taske_ray.core.capability.tokens import scopes_to_ask
from taske_ray.core.ids import format_id
from taske_ray.core.outcome import ErrorClass, Failed, Unknown
from taske_ray.db.tables import Connection, ConnectionAuthorization
from taske_ray.errors import Conflict, FieldError, Invalid, TaskeError, Unavailable
from taske_ray.services.connections import split_fields

most_scopes = 100


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user wants to allow: a new connection to `module`, or `connection` again with more scopes.

    `capabilities` None: whatever the module can do with this scheme. `shared`: for the instance.
    """

    module: str | None = None
    auth: str | None = None
    name: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)
    capabilities: Sequence[str] | None = None
    scopes: Sequence[str] = ()
    connection: str | None = None
    target: str | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """Where the browser goes, and `browser`, the value of its cookie."""

    answer: dict[str, Any]
    browser: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Came:
    """What the provider's redirect brought along, and the browser's cookie. `confirmed`: a person pressed a button."""

    state: str | None = field(repr=False)
    code: str | None = field(default=None, repr=False)
    error: str | None = None
    description: str | None = None
    issuer: str | None = None
    browser: str | None = field(default=None, repr=False)
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Arrived:
    """A connection was made; `target` is the path of ours where the browser goes on."""

    answer: dict[str, Any]
    target: str


class ConfirmationNeeded(TaskeError):
    """Somebody has to say that they mean this account; `shown` is what they are shown."""

    code = "confirmation_needed"

    def __init__(self, shown: Mapping[str, str]) -> None:
        super().__init__()
        self.shown = dict(shown)


def given_fields(
    scheme: AuthScheme, given: Mapping[str, Any], old: Connection | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the user gave; connecting again they may leave all of it as it is."""
    if old is not None and not given:
        return {}, {}
    kept = {} if old is None else {name: part for name, part in old.config.items() if name in scheme.fields.names}
    return split_fields(scheme, {**kept, **given})


def asked_scopes(module: Module, scheme: AuthScheme, wish: Wish, old: Connection | None) -> tuple[str, ...]:
    """What the provider is asked for. Raises Invalid."""
    chosen = wish.capabilities
    if chosen is None and old is not None:
        chosen = ()  # as before, unless more is asked for
    errors = [
        FieldError(f"/capabilities/{index}", "unknown_capability", f"{module.id} has no such capability by {scheme.id}")
        for index, name in enumerate(chosen or ())
        if name not in module.capabilities or scheme.id not in module.capabilities[name].auth_ids
    ]
    if errors:
        raise Invalid("The capabilities do not fit", errors=errors)
    found = scopes_to_ask(module, scheme, chosen, [*(old.scopes or () if old else ()), *wish.scopes])
    if len(found) > most_scopes:
        raise Invalid.at("/scopes", "too_many", f"At most {most_scopes} scopes can be asked for")
    return found


def view_consent(row: ConnectionAuthorization, *, now: datetime | None = None) -> dict[str, Any]:
    """A consent as the one who began it sees it."""
    late = row.status == "pending" and now is not None and row.expires_at <= now.astimezone(UTC)
    return {
        "id": format_id("authorization", row.id),
        "status": "expired" if late else {"exchanging": "pending"}.get(row.status, row.status),
        "connection": format_id("conn", row.connection_id),
        "module": row.module,
        "auth": row.auth,
        "name": row.name,
        "scopes": row.scopes,
        "error": row.error,
        "expires_at": row.expires_at,
    }


def hidden_address(email: str) -> str:
    """An address as a stranger may see it: enough for its owner to know it."""
    name, _, domain = email.partition("@")
    return f"{name[:2]}•••@{domain}"


def refusal_of(outcome: Any) -> TaskeError:
    """Why nothing came of an exchange, for the person at the browser."""
    if isinstance(outcome, Unknown):
        return Unavailable(outcome.message, code=outcome.code)
    assert isinstance(outcome, Failed)
    if outcome.error_class in (ErrorClass.TRANSIENT, ErrorClass.RATE_LIMITED):
        return Unavailable(outcome.message, code=outcome.code)
    return Conflict(outcome.message, code=outcome.code)
