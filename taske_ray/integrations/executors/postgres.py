"""`postgres`: one statement on the user's own PostgreSQL, with parameters, in a transaction (module `database`)."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.conninfo import make_conninfo
from psycopg.generators import fetch, send
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.types.json import Jsonb

from taske_ray.core.capability import ConnectionValues
from taske_ray.core.outcome import ErrorClass, Failed, Outcome, Succeeded, Unknown
from taske_ray.core.storable import storable
from taske_ray.integrations.executors.port import Job, Place, unreachable_errors
from taske_ray.integrations.executors.values import as_json
from taske_ray.integrations.transport import Transport

_port: Final = 5432
_connect_s: Final = 5
_cancel_s: Final = 5.0
_most_bytes: Final = 5 * 1024 * 1024
# serialization, deadlock, too many connections, lock not available, cancelled, not yet ready
_try_again: Final = frozenset({"40001", "40P01", "53300", "55P03", "57014", "57P03"})
_classes: Final = {"28000": ErrorClass.AUTH_REVOKED, "28P01": ErrorClass.AUTH_REVOKED, "42501": ErrorClass.PERMISSION}
_answers: Final = frozenset(
    {ExecStatus.SINGLE_TUPLE, ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY}
)
_copies: Final = frozenset({ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH})
Connected = psycopg.AsyncConnection[Any]


class Postgres:
    """Runs statements on databases that users name."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def perform(self, job: Job) -> Outcome:
        """Execute the statement; the output is `{rows, count, truncated}`."""
        place, params = Place(job.connection, _port), job.params
        read_only = params["read_only"] is not False
        connected = await self._connected(place, job.call.timeout_s, read_only=read_only)
        if isinstance(connected, Failed):
            return connected
        if not job.may_send():
            await connected.close()
            return place.failed(ErrorClass.TRANSIENT, "lease_over", "The run may have been taken over.", sent=False)
        try:
            async with asyncio.timeout(job.call.timeout_s), connected.transaction():
                return await _executed(connected, place, params)
        except psycopg.Error as error:
            if error.sqlstate:
                return _answered(place, error)
        except TimeoutError:
            pass
        finally:
            await connected.close()
        message = "The database went away before it said what became of the statement."
        if read_only:
            return place.failed(ErrorClass.TRANSIENT, "connection_lost", message)
        return Unknown(message, "connection_lost")

    async def test(self, connection: ConnectionValues) -> Succeeded | Failed:
        """Connect and log in."""
        place = Place(connection, _port)
        connected = await self._connected(place, 30.0, read_only=True)
        if isinstance(connected, Failed):
            return connected
        await connected.close()
        return Succeeded({"label": f"{place.values['database']} at {place.host}"})

    async def _connected(self, place: Place, timeout_s: float, *, read_only: bool) -> Connected | Failed:
        try:
            addresses = await self._transport.addresses(place.host, place.port)
        except unreachable_errors as error:
            return place.unreachable(error)
        settings = {"statement_timeout": int(timeout_s * 1000), "default_transaction_read_only": int(read_only)}
        try:
            return await psycopg.AsyncConnection.connect(
                _address(place, addresses[0]),
                password=place.values["password"],
                options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
            )
        except psycopg.Error as error:
            if "FATAL" in str(error):
                message = f"The database refused the login: {str(error).rpartition('FATAL:')[2].strip()}"
                return place.failed(ErrorClass.AUTH_REVOKED, "database_login", message, sent=False)
            return place.failed(ErrorClass.TRANSIENT, "connect_failed", "No connection could be made.", sent=False)


def _address(place: Place, address: str) -> str:
    """Where to connect: the address that was checked, and the name that the certificate must say."""
    tls = place.values.get("tls") or "verify-full"
    return make_conninfo(
        host=place.host,
        hostaddr=address,
        port=place.port,
        dbname=place.values["database"],
        user=place.values["username"],
        sslmode=tls,
        sslrootcert="system" if tls == "verify-full" else None,
        passfile="/dev/null",
        connect_timeout=_connect_s,
        application_name="taske",
    )


async def _executed(connection: Connected, place: Place, params: Mapping[str, Any]) -> Succeeded | Failed:
    """The statement with its values; its rows as JSON up to the limits.

    Reading stops at a limit and the statement with it, but one that may write goes on to its end: its effect stays.
    """
    statement = _Statement(connection)
    await statement.begin(params["sql"], params["values"] or [])
    rows, read_only = _Rows(params["max_rows"]), params["read_only"] is not False
    written = 0
    while (result := await statement.answer()) is not None:
        if result.status == ExecStatus.COMMAND_OK:
            written = _written(result)
        elif result.ntuples and not rows.take(statement, result) and read_only:
            await statement.stop()
            break
    if rows.too_large:
        done = "" if read_only else " The statement was executed."
        return place.failed(ErrorClass.FATAL, "too_large", f"The rows are larger than 5 MiB.{done}")
    kept = storable(rows.kept)
    return Succeeded({"rows": kept, "count": len(kept) or written, "truncated": rows.more})


class _Statement:
    """One statement under way, its rows read one by one.

    A cursor of psycopg's holds the whole result, and its `stream` keeps to itself how many rows were written. One row
    is the least that the protocol gives: who selects a cell of a gigabyte has the driver hold a gigabyte.
    """

    def __init__(self, connection: Connected) -> None:
        self._connection = connection
        self._types = Transformer(connection)
        self._names: list[str] | None = None

    async def begin(self, sql: str, values: list[Any]) -> None:
        """Send it by the extended protocol, which takes one statement alone."""
        adapted = [Jsonb(each) if isinstance(each, dict | list) else each for each in values]
        dumped = self._types.dump_sequence(adapted, [PyFormat.AUTO] * len(adapted))
        pgconn = self._connection.pgconn
        pgconn.send_query_params(sql.encode(), dumped, self._types.types, self._types.formats)
        pgconn.set_single_row_mode()
        await self._connection.wait(send(pgconn))

    async def answer(self) -> PGresult | None:
        """The next row, or what the server says at the end; None after that. Raises psycopg.Error."""
        result: PGresult | None = await self._connection.wait(fetch(self._connection.pgconn))
        if result is None or result.status in _answers:
            return result
        await self._connection.close()  # with whatever it was about to say
        if result.status in _copies:
            raise psycopg.errors.FeatureNotSupported("COPY is not possible here.")
        raise psycopg.errors.error_from_result(result)

    def row(self, result: PGresult) -> dict[str, Any]:
        """A row by the names of its columns; of two of one name the last."""
        if self._names is None:
            encoding = self._connection.info.encoding
            self._names = [(result.fname(column) or b"").decode(encoding) for column in range(result.nfields)]
        self._types.set_pgresult(result)
        return dict(zip(self._names, self._types.load_row(0, tuple), strict=True))

    async def stop(self) -> None:
        """Have the server end it, and read no more."""
        with suppress(psycopg.Error):  # a server that cannot be reached for that finds nobody there to write to
            await self._connection.cancel_safe(timeout=_cancel_s)
        await self._connection.close()


class _Rows:
    """At most `most` rows of at most 5 MiB of JSON."""

    def __init__(self, most: int) -> None:
        self.kept: list[Any] = []
        self.more = self.too_large = False
        self._most = most
        self._left = _most_bytes

    def take(self, statement: _Statement, result: PGresult) -> bool:
        """Keep a row where there is room for it; False: there is no use in more."""
        if self.more or self.too_large:
            return False
        if len(self.kept) == self._most:
            self.more = True
            return False
        row = as_json(statement.row(result))
        self._left -= len(str(row))
        self.kept.append(row)
        if self._left < 0:
            self.too_large = True
            self.kept.clear()
        return not self.too_large


def _written(result: PGresult) -> int:
    """How many rows a statement wrote that gives none back; -1 for one that does not say."""
    return -1 if result.command_tuples is None else result.command_tuples


def _answered(place: Place, error: psycopg.Error) -> Failed:
    """What the server said; it rolled back."""
    state = error.sqlstate or ""
    message = (error.diag.message_primary or str(error)).splitlines()[0]
    error_class = _classes.get(state, ErrorClass.TRANSIENT if state in _try_again else ErrorClass.INVALID)
    return place.failed(error_class, f"sql_{state.lower()}", message)
