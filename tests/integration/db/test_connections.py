"""What each connection of a process keeps to, read back from the server and from the driver (durability, 11.2)."""

import psycopg
import pytest
from psycopg.rows import dict_row

from taske_ray.db.database import Database, engine_role
from taske_ray.db.migrate import complaint, upgrade
from taske_ray.errors import StartRefused, Unavailable

pytestmark = pytest.mark.integration
KEPT = {
    "TimeZone": "UTC",
    "statement_timeout": "10s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "15s",
    "role": engine_role,
}
CONNECTED = {
    "target_session_attrs": "read-write",
    "connect_timeout": "5",
    "keepalives_idle": "30",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
SETTINGS = "SELECT name, current_setting(name) AS value FROM unnest(%(names)s::text[]) AS name"


def named(rows):
    """The settings that a session answered with."""
    return {row["name"]: row["value"] for row in rows}


async def test_every_session_keeps_to_its_bounds(engine_database):
    """Rows, hot path and heartbeats: UTC, bounded statements, locks and idle transactions, lost peers, a primary."""
    asked = {"names": list(KEPT)}
    async with engine_database.hot_transaction() as hot, engine_database.transaction() as rows:
        raw = await (await rows.connection()).get_raw_connection()
        for connection in (hot, raw.driver_connection):
            cursor = await psycopg.AsyncCursor(connection, row_factory=dict_row).execute(SETTINGS, asked)
            assert named(await cursor.fetchall()) == KEPT
            given = connection.info.get_parameters()
            assert {name: given.get(name) for name in CONNECTED} == CONNECTED
            assert given.get("keepalives", "1") == "1"
    alone = await engine_database.dedicated()
    assert named(await alone.fetch(SETTINGS, asked)) == KEPT
    await alone.close()


@pytest.fixture
def read_only_url(fresh_database_url):
    """A database that takes no writes, as on a standby."""
    name = psycopg.conninfo.conninfo_to_dict(fresh_database_url)["dbname"]
    with psycopg.connect(fresh_database_url, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only TO on")
    return fresh_database_url


async def test_nobody_works_where_nothing_can_be_written(read_only_url):
    """A start and a look from outside are told that it is not the primary, and processes that it is away."""
    with pytest.raises(StartRefused, match="must name the primary server"):
        upgrade(read_only_url)
    assert "must name the primary server" in complaint(read_only_url)
    database = await Database(read_only_url).open()
    with pytest.raises(Unavailable):
        await database.fetch("SELECT 1")
    with pytest.raises(Unavailable):
        async with database.transaction() as tx:
            await tx.connection()
    await database.close()


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_in_another_encoding_is_refused(postgres_server, fresh_database_url, encoding):
    """Its name is said, also where the driver would not even read the server's words as text."""
    name = psycopg.conninfo.conninfo_to_dict(fresh_database_url)["dbname"]
    other = f"{name}_other"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {other} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
        try:
            url = fresh_database_url.replace(name, other)
            with pytest.raises(StartRefused, match=f"server_encoding must be UTF8, not {encoding}"):
                upgrade(url)
            assert complaint(url) == f"PostgreSQL setting server_encoding must be UTF8, not {encoding}"
        finally:
            admin.execute(f"DROP DATABASE {other} WITH (FORCE)")
