# ruff: noqa: S608 - every name in these statements is one of ours
"""Rows whose keys change: data keys under another master key, sealed values under another data key.

Each batch is a transaction of its own, so that a kill anywhere leaves every row readable and the rest for the next run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import sql

from taske_ray.db.database import Database

batch = 200
Moved = Callable[[dict[str, Any]], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """Where sealed values stand, and which column names their data key."""

    table: str
    row: str
    column: str
    data_key: str = "data_key"


sealed_columns = (
    SealedColumn("connections", "id", "sealed"),
    SealedColumn("oauth_clients", "id", "sealed"),
    SealedColumn("triggers", "id", "hook_sealed", "hook_data_key"),
    SealedColumn("subscriptions", "id", "sealed"),
    SealedColumn("app_hooks", "module", "sealed"),
    SealedColumn("totp_factors", "user_id", "sealed"),
    SealedColumn("signing_keys", "kid", "sealed_private"),
)
"""What is kept; what is sealed for a day at most (refresh tokens, answers, visits) ends by itself."""

_has_newer = """EXISTS (SELECT FROM data_keys n WHERE n.user_id IS NOT DISTINCT FROM d.user_id AND n.purpose = d.purpose
                    AND n.version > d.version)"""


async def keys_under_others(database: Database, kek_id: str) -> int:
    """How many data keys are wrapped by another master key than this."""
    rows = await database.fetch("SELECT count(*) AS n FROM data_keys WHERE kek_id <> %(kek)s", {"kek": kek_id})
    return int(rows[0]["n"])


async def rewrap_batch(database: Database, kek_id: str, after: UUID, moved: Moved) -> tuple[int, UUID | None]:
    """Wrap some data keys anew: how many were, and where the next batch begins."""
    async with database.hot_transaction() as connection:
        found = await connection.execute(
            "SELECT * FROM data_keys WHERE kek_id <> %(kek)s AND id > %(after)s ORDER BY id LIMIT %(most)s"
            " FOR UPDATE SKIP LOCKED",
            {"kek": kek_id, "after": after, "most": batch},
        )
        rows = await found.fetchall()
        done = 0
        for row in rows:
            values = moved(row)
            if values is not None:
                await connection.execute(
                    "UPDATE data_keys SET kek_id = %(kek_id)s, wrapped = %(wrapped)s WHERE id = %(id)s",
                    {**values, "id": row["id"]},
                )
                done += 1
        return done, rows[-1]["id"] if rows else None


async def newest_keys(database: Database) -> list[dict[str, Any]]:
    """The data key that seals new values, for each owner and purpose."""
    return await database.fetch(
        "SELECT DISTINCT ON (user_id, purpose) * FROM data_keys ORDER BY user_id, purpose, version DESC"
    )


async def add_key(database: Database, values: Mapping[str, Any]) -> None:
    """Insert the next version of a data key, unless somebody else has."""
    await database.fetch(
        "INSERT INTO data_keys (id, user_id, purpose, version, kek_id, wrapped) VALUES (%(id)s, %(user_id)s,"
        " %(purpose)s, %(version)s, %(kek_id)s, %(wrapped)s) ON CONFLICT DO NOTHING RETURNING id",
        values,
    )


async def rows_left(database: Database) -> int:
    """How many sealed values are under a data key that has a newer version."""
    left = 0
    for place in sealed_columns:
        rows = await database.fetch(
            _written(
                "SELECT count(*) AS n FROM {table} t JOIN data_keys d ON d.id = t.{data_key} WHERE " + _has_newer, place
            )
        )
        left += int(rows[0]["n"])
    return left


async def reseal_batch(database: Database, place: SealedColumn, after: Any, moved: Moved) -> tuple[int, Any]:
    """Seal some values anew, under the newest data key of their owner: how many, and where the next batch begins."""
    columns = ", ".join(
        f"d.{name} AS old_{name}" for name in ("id", "user_id", "purpose", "version", "kek_id", "wrapped")
    )
    first = "" if after is None else " AND t.{row} > %(after)s"
    query = (
        f"SELECT t.{{row}} AS row, t.{{column}} AS sealed, {columns} FROM {{table}} t"
        " JOIN data_keys d ON d.id = t.{data_key} WHERE " + _has_newer + first + " ORDER BY t.{row} LIMIT %(most)s"
        " FOR UPDATE OF t SKIP LOCKED"
    )
    update = "UPDATE {table} SET {column} = %(sealed)s, {data_key} = %(data_key)s WHERE {row} = %(row)s"
    async with database.hot_transaction() as connection:
        found = await connection.execute(_written(query, place), {"after": after, "most": batch})
        rows = await found.fetchall()
        done = 0
        for row in rows:
            values = moved(row)
            if values is not None:
                await connection.execute(_written(update, place), {**values, "row": row["row"]})
                done += 1
        return done, rows[-1]["row"] if rows else None


async def destroy_unused(database: Database, *, kept_for_h: int) -> int:
    """Destroy data keys that have had a newer version for so long and under which nothing is left; how many."""
    unused = " AND ".join(
        f"NOT EXISTS (SELECT FROM {place.table} t WHERE t.{place.data_key} = d.id)" for place in sealed_columns
    )
    waiting = " AND ".join(
        f"NOT EXISTS (SELECT FROM {table} t WHERE t.{column} = d.id)"
        for table, column in (
            ("authorization_states", "data_key"),
            ("connection_authorizations", "data_key"),
            ("connection_authorizations", "code_key"),
            ("connection_authorizations", "proof_key"),
        )
    )
    newer = _has_newer.replace(
        "n.version > d.version",
        "n.version > d.version AND n.created_at < clock_timestamp() - make_interval(hours => %(hours)s)",
    )
    async with database.hot_transaction() as connection:
        # whoever writes under one of them holds it: after the lock the second statement sees what they have written
        found = await connection.execute(f"SELECT id FROM data_keys d WHERE {newer} FOR UPDATE", {"hours": kept_for_h})
        locked = [row["id"] for row in await found.fetchall()]
        gone = await connection.execute(
            f"DELETE FROM data_keys d WHERE id = ANY(%(ids)s) AND {unused} AND {waiting}", {"ids": locked}
        )
        return gone.rowcount


async def ask_for_all_again(database: Database, reason: str) -> int:
    """Every connection needs its credential again, and what it triggers pauses; how many."""
    rows = await database.fetch(
        "WITH refused AS (UPDATE connections SET status = 'needs_reauth', status_reason = %(reason)s,"
        " updated_at = clock_timestamp() WHERE status <> 'needs_reauth' RETURNING id),"
        " paused AS (UPDATE triggers SET paused_reason = 'connection needs reauthorisation',"
        " change = nextval('trigger_changes') FROM refused WHERE triggers.connection_id = refused.id)"
        " SELECT count(*) AS n FROM refused",
        {"reason": reason},
    )
    return int(rows[0]["n"])


def _written(query: str, place: SealedColumn) -> Any:
    names = {name: sql.Identifier(getattr(place, name)) for name in ("table", "row", "column", "data_key")}
    return sql.SQL(query).format(**names)
