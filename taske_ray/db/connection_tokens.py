"""Tokens of connections in the database: the lease for a refresh, storing, and who is told when nothing helps.

They serve the machine; no route reaches them. `owner` None is the instance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from taske_ray.db import queries
from taske_ray.db.database import Database

LeaseStanding = Literal["moved", "free", "busy", "lost"]


@dataclass(frozen=True, slots=True)
class RefreshLease:
    """The right to ask the provider once, and to store what it gives. `until` is its fence."""

    owner: UUID | None
    connection_id: UUID
    client: UUID
    until: datetime


@dataclass(frozen=True, slots=True)
class SealedTokens:
    """A connection's secrets with new tokens among them, as they are stored. `scopes` None: not said, as before."""

    sealed: bytes
    data_key: UUID
    token_at: datetime
    refresh_from: datetime | None
    expires_at: datetime | None
    scopes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class ReauthLetter:
    """What is written in one language; `{name}` and `{module}` stand for those of the connection."""

    locale: str
    subject: str
    body: str


async def take_refresh(
    database: Database, *, owner: UUID | None, connection_id: UUID, version: int, client: UUID, lease_s: float
) -> RefreshLease | None:
    """The lease on the tokens of this version; None where there is no need, or somebody else has it."""
    values = {"owner": owner, "connection_id": connection_id, "version": version, "client": client, "lease_s": lease_s}
    rows = await database.fetch(queries.take_refresh, values)
    return RefreshLease(owner, connection_id, client, rows[0]["refresh_until"]) if rows else None


async def refresh_standing(
    database: Database, *, owner: UUID | None, connection_id: UUID, version: int
) -> LeaseStanding | None:
    """Why there was no lease; None where there is no connection any more."""
    values = {"owner": owner, "connection_id": connection_id, "version": version}
    rows = await database.fetch(queries.refresh_standing, values)
    return rows[0]["standing"] if rows else None


async def store_tokens(database: Database, lease: RefreshLease, tokens: SealedTokens) -> int | None:
    """Store them and end the lease: the connection's new version. None where the lease is another's by now."""
    values = {
        **_fence(lease),
        "sealed": tokens.sealed,
        "data_key": tokens.data_key,
        "token_at": tokens.token_at,
        "refresh_from": tokens.refresh_from,
        "expires_at": tokens.expires_at,
        "scopes": None if tokens.scopes is None else list(tokens.scopes),
    }
    rows = await database.fetch(queries.store_tokens, values)
    return rows[0]["version"] if rows else None


async def release_refresh(database: Database, lease: RefreshLease) -> None:
    """Give the lease back: the provider gave nothing."""
    await database.fetch(queries.release_refresh, _fence(lease))


async def mark_needs_reauth(
    database: Database,
    *,
    owner: UUID | None,
    connection_id: UUID,
    version: int,
    reason: str,
    letters: Sequence[ReauthLetter],
    mail_ids: Sequence[UUID],
) -> None:
    """Nothing uses this credential again until it is made anew; whoever can do that is told, once."""
    values = {
        "owner": owner,
        "connection_id": connection_id,
        "version": version,
        "reason": reason[:500],
        "locales": [letter.locale for letter in letters],
        "subjects": [letter.subject for letter in letters],
        "bodies": [letter.body for letter in letters],
        "mail_ids": list(mail_ids),
    }
    await database.fetch(queries.mark_needs_reauth, values)


def _fence(lease: RefreshLease) -> dict[str, object]:
    return {
        "owner": lease.owner,
        "connection_id": lease.connection_id,
        "client": lease.client,
        "until": lease.until,
    }
