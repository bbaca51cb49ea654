"""The door to PostgreSQL: bounded pools, one for requests and rows, one for the statements of the hot path."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.errors import Unavailable

# Each session keeps to these (durability, 11.2): UTC, bounded waits, and nothing acknowledged that is not durable.
_SESSION = {
    "timezone": "UTC",
    "statement_timeout": "10s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "15s",
    "jit": "off",
}
# A server that went away without a word is noticed in seconds, whether we wait for it or it for us.
_LOST_PEER = {"keepalives_idle": 30, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 10_000}
_POOL_WAIT_S = 2.0
Transaction = AsyncSession
"""What `Database.transaction` gives, for those who only pass it on."""
engine_role = "taske_engine"
"""The role of hosts and hooks (security, 8.3); `migrations/roles.sql` says what it may do."""
away = (psycopg.OperationalError, PoolTimeout, OperationalError, PoolExhausted, ConnectionError)
"""What "the database is away" looks like from the drivers."""


def sqlalchemy_url(url: str) -> str:
    """The same database for SQLAlchemy: its dialect names the driver."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return f"postgresql+psycopg://{url.removeprefix(prefix)}"
    return url


class Database:
    """The pools of one process. `rows` sessions speak SQLModel; `hot` connections run `db/sql` statements.

    `role`: what every connection takes on at its start, instead of the rights of the login that the URL names.
    """

    def __init__(
        self, url: str, *, row_connections: int = 4, hot_connections: int = 2, role: str | None = None
    ) -> None:
        self._url = url
        session = _SESSION if role is None else {**_SESSION, "role": role}
        options = " ".join(f"-c {name}={value}" for name, value in session.items())
        self._arguments = {"options": options, "connect_timeout": 5, **_LOST_PEER}
        self._engine = create_async_engine(
            sqlalchemy_url(url),
            pool_size=max(1, row_connections),
            max_overflow=0,
            pool_timeout=_POOL_WAIT_S,
            connect_args=self._arguments,
        )
        self._hot = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]](
            url,
            min_size=1,
            max_size=max(1, hot_connections),
            timeout=_POOL_WAIT_S,
            open=False,
            kwargs={**self._arguments, "autocommit": True, "row_factory": dict_row},
        )

    async def open(self) -> "Database":
        """Start connecting in the background; a database that is away shows at the first use, as `Unavailable`."""
        await self._hot.open(wait=False)
        return self

    async def close(self) -> None:
        """Give every connection back."""
        await self._hot.close(timeout=1)
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A SQLModel session; leaving the block commits, an exception rolls back. Raises Unavailable."""
        try:
            async with AsyncSession(self._engine, expire_on_commit=False) as session, session.begin():
                yield session
        except away as error:
            raise Unavailable("The database is away") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Unavailable("The database is away") from error
            raise

    async def fetch(self, statement: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Run one statement of `db/sql` in its own transaction and return its rows. Raises Unavailable."""
        try:
            async with self._hot.connection() as connection:
                cursor = await connection.execute(statement, parameters)
                return await cursor.fetchall() if cursor.description else []
        except away as error:
            raise Unavailable("The database is away") from error

    @contextlib.asynccontextmanager
    async def hot_transaction(self) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        """Several statements of `db/sql` in one transaction. Raises Unavailable."""
        try:
            async with self._hot.connection() as connection, connection.transaction():
                yield connection
        except away as error:
            raise Unavailable("The database is away") from error

    async def dedicated(self) -> "DedicatedConnection":
        """A connection outside the pools, for heartbeats: an exhausted pool must not end a lease."""
        return DedicatedConnection(self._url, self._arguments)


class DedicatedConnection:
    """One connection that reconnects by itself at the next use."""

    def __init__(self, url: str, arguments: Mapping[str, Any]) -> None:
        self._url = url
        self._arguments = arguments
        self._connection: psycopg.AsyncConnection[DictRow] | None = None
        self._turn = asyncio.Lock()

    async def fetch(self, statement: str, parameters: Mapping[str, Any] | Sequence[Any] | None = None) -> list[DictRow]:
        """Run one statement; raises Unavailable."""
        async with self._turn:
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = await psycopg.AsyncConnection.connect(
                        self._url, autocommit=True, row_factory=dict_row, **self._arguments
                    )
                cursor = await self._connection.execute(statement, parameters)
                return await cursor.fetchall() if cursor.description else []
            except away as error:
                raise Unavailable("The database is away") from error

    async def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            await self._connection.close()
