"""The door to PostgreSQL: bounded pools, one for requests and rows, one for the statements of the hot path."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Literal, get_args
from uuid import UUID

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.util import await_only
from sqlmodel.ext.asyncio.session import AsyncSession

from taske_ray.errors import Unavailable
from taske_ray.places import Places

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
connecting: Mapping[str, Any] = {
    "connect_timeout": 5,
    "target_session_attrs": "read-write",
    "client_encoding": "UTF8",
    **_LOST_PEER,
}
"""How everybody connects: of several servers in a URL to the one that takes writes, and to none that takes none."""
_POOL_WAIT_S = 2.0
_FEW = 60
"""A server that takes fewer connections is shared sparingly: a process keeps none for rows, and one for the hot path
while it is used."""
_REST_S = 2.0
Transaction = AsyncSession
"""What `Database.transaction` gives, for those who only pass it on."""
_SET_OWNER = "SELECT set_config('taske.user_id', %s, true), set_config('taske.task_id', %s, true)"
_OWNER = "taske_owner"  # the execution option that carries a transaction's owner to its BEGIN

_only_task: ContextVar[UUID | None] = ContextVar("only_task", default=None)
"""The one task that the request of this context may touch; None: no such bound."""

Role = Literal["taske_api", "taske_auth", "taske_engine"]
"""What a process may do (security, 8.3): `migrations/roles.sql` says who each of them is."""
roles: tuple[Role, ...] = get_args(Role)
engine_role: Role = "taske_engine"
away = (psycopg.OperationalError, PoolTimeout, OperationalError, ConnectionError)
"""What "the database is away" looks like from the drivers."""


def sqlalchemy_url(url: str) -> str:
    """The same database for SQLAlchemy: its dialect names the driver."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return f"postgresql+psycopg://{url.removeprefix(prefix)}"
    return url


class Database:
    """The pools of one process. `rows` sessions speak SQLModel; `hot` connections run `db/sql` statements.

    `role`: what every connection takes on at its start, instead of the rights of the login that the URL names. None is
    for the operator's commands alone.
    """

    def __init__(
        self, url: str, *, row_connections: int = 4, hot_connections: int = 2, role: Role | None = None
    ) -> None:
        self._url = url
        self._rows, self._most = max(1, row_connections), max(1, hot_connections)
        session = _SESSION if role is None else {**_SESSION, "role": role}
        options = " ".join(f"-c {name}={value}" for name, value in session.items())
        self._arguments: dict[str, Any] = {"options": options, **connecting}

    async def open(self) -> "Database":
        """Start connecting in the background; a database that is away shows at the first use, as `Unavailable`."""
        few = await self._are_few()
        self._engine = self._new_engine(few=few)
        self._places = Places(self._rows)
        self._hot = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]](
            self._url,
            min_size=0 if few else 1,
            max_size=1 if few else self._most,
            max_idle=_REST_S if few else 600.0,
            timeout=_POOL_WAIT_S,
            open=False,
            kwargs={**self._arguments, "autocommit": True, "row_factory": dict_row},
        )
        await self._hot.open(wait=False)
        return self

    def _new_engine(self, *, few: bool) -> AsyncEngine:
        """Autocommit: BEGIN is written by `_begin`, which sends the owner with it in one round trip."""
        kept: dict[str, Any] = {"pool_size": self._rows, "max_overflow": 0}
        engine = create_async_engine(
            sqlalchemy_url(self._url),
            hide_parameters=True,  # an error's text goes to logs, and parameters may be hashes and sealed values
            connect_args={**self._arguments, "autocommit": True},
            **({"poolclass": NullPool} if few else kept),
        )
        event.listen(engine.sync_engine, "begin", _begin)
        return engine

    async def _are_few(self) -> bool:
        """Whether the server takes few connections. One that does not answer now is no reason to be sparing."""
        try:
            async with await psycopg.AsyncConnection.connect(self._url, **self._arguments) as connection:
                cursor = await connection.execute("SELECT current_setting('max_connections')::int")
                row = await cursor.fetchone()
        except psycopg.Error:
            return False
        assert row is not None
        return int(row[0]) < _FEW

    async def close(self) -> None:
        """Give every connection back."""
        await self._hot.close(timeout=1)
        await self._engine.dispose()

    @contextlib.asynccontextmanager
    async def transaction(self, *, owner: UUID | None = None) -> AsyncIterator[AsyncSession]:
        """A SQLModel session; leaving the block commits, an exception rolls back. Raises Unavailable.

        `owner`: whose rows the transaction may see and write (row-level security); None: nobody's in particular.
        """
        engine = self._engine.execution_options(**{_OWNER: owner})
        try:
            if not await self._places.enter(_POOL_WAIT_S):
                raise PoolTimeout
            try:
                async with AsyncSession(engine, expire_on_commit=False) as session, session.begin():
                    yield session
            finally:
                self._places.leave()
        except away as error:
            raise Unavailable("The database is away") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Unavailable("The database is away") from error
            raise

    async def fetch(
        self, statement: str, parameters: Mapping[str, Any] | None = None, *, owner: UUID | None = None
    ) -> list[dict[str, Any]]:
        """Run one statement of `db/sql` in its own transaction and return its rows. Raises Unavailable.

        `owner` as in `transaction`; it goes to the server in the same round trip.
        """
        try:
            async with self._hot.connection() as connection:
                if owner is None:
                    return await _rows(await connection.execute(statement, parameters))
                async with connection.pipeline():  # one transaction up to its end, where the answers are read
                    await connection.execute(_SET_OWNER, (str(owner), str(_only_task.get() or "")))
                    cursor = await connection.execute(statement, parameters)
                return await _rows(cursor)
        except away as error:
            raise Unavailable("The database is away") from error

    @contextlib.asynccontextmanager
    async def hot_transaction(self, *, owner: UUID | None = None) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        """Several statements of `db/sql` in one transaction; `owner` as in `transaction`. Raises Unavailable."""
        try:
            async with self._hot.connection() as connection:  # which commits at its end, or rolls back
                await connection.execute(_beginning(owner), prepare=False)
                yield connection
        except away as error:
            raise Unavailable("The database is away") from error

    async def dedicated(self) -> "DedicatedConnection":
        """A connection outside the pools, for heartbeats: an exhausted pool must not end a lease."""
        return DedicatedConnection(self._url, self._arguments)


def confine_to_task(task_id: UUID | None) -> None:
    """What this context does from now on sees of tasks and runs those of one task; None: of all of its owner's."""
    _only_task.set(task_id)


def _beginning(owner: UUID | None) -> str:
    """BEGIN, and whose rows it is about: several commands in one message, which takes no parameters."""
    if owner is None:
        return "BEGIN"
    task_id = _only_task.get()
    bound = "" if task_id is None else f"; SET LOCAL taske.task_id = '{task_id}'"
    return f"BEGIN; SET LOCAL taske.user_id = '{owner}'{bound}"


def _begin(connection: Connection) -> None:
    """Begin a transaction of SQLAlchemy, which believes that the driver does."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)
    await_only(driver.execute(_beginning(connection.get_execution_options().get(_OWNER)), prepare=False))


async def _rows(cursor: psycopg.AsyncCursor[DictRow]) -> list[DictRow]:
    return await cursor.fetchall() if cursor.description else []


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
