"""Rows of the instance's OAuth clients: whose id anybody may see who is sent to a provider, and whose secret nobody."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.db.tables import OAuthClient


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


async def forget_clients(tx: AsyncSession, client_ids: Collection[str]) -> None:
    """Forget every client that has one of these ids."""
    await tx.exec(delete(OAuthClient).where(col(OAuthClient.client_id).in_(client_ids)))
