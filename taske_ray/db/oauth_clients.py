"""Rows of the instance's OAuth clients: whose id anybody may see who is sent to a provider, and whose secret nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db import queries
from taske_ray.db.database import Database
from taske_ray.db.tables import OAuthClient


@dataclass(frozen=True, slots=True)
class SealedClient:
    """A client with its sealed secret and the wrapped data key that seals it."""

    id: UUID
    client_id: str
    sealed: bytes | None
    data_key: UUID | None
    key_version: int | None
    kek_id: str | None
    wrapped: bytes | None


async def sealed_client(database: Database, *, module: str, auth: str) -> SealedClient | None:
    """For the IntegrationClient that asks for tokens: the client of the instance, if there is one."""
    rows = await database.fetch(queries.sealed_client, {"module": module, "auth": auth})
    return SealedClient(**rows[0]) if rows else None


async def list_clients(tx: AsyncSession) -> Sequence[OAuthClient]:
    """Every client, by module and scheme."""
    return (await tx.exec(select(OAuthClient).order_by(col(OAuthClient.module), col(OAuthClient.auth)))).all()


async def get_client(tx: AsyncSession, *, module: str, auth: str) -> OAuthClient | None:
    """The client of one scheme."""
    return (await tx.exec(select(OAuthClient).where(OAuthClient.module == module, OAuthClient.auth == auth))).first()


async def put_client(tx: AsyncSession, **values: Any) -> OAuthClient:
    """Store the client of a scheme in place of any other; the row's id stays, because its secret is bound to it."""
    changed = {name: value for name, value in values.items() if name not in ("id", "module", "auth")}
    statement = (
        insert(OAuthClient)
        .values(**values)
        .on_conflict_do_update(
            index_elements=["module", "auth"], set_={**changed, "updated_at": func.clock_timestamp()}
        )
        .returning(OAuthClient)
    )
    found: OAuthClient = (await tx.exec(statement)).scalar_one()
    return found


async def delete_client(tx: AsyncSession, *, module: str, auth: str) -> bool:
    """Forget the client of a scheme; False if there was none."""
    gone = await tx.exec(delete(OAuthClient).where(col(OAuthClient.module) == module, col(OAuthClient.auth) == auth))
    return bool(gone.rowcount)
