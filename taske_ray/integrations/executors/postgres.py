"""`postgres`: one statement on the user's own PostgreSQL, with parameters, in a transaction (module `database`)."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from taske_ray.core.capability import ConnectionValues
from taske_ray.core.outcome import ErrorClass, Failed, Outcome, Succeeded, Unknown
from taske_ray.core.storable import storable
from taske_ray.integrations.executors.port import Job, Place, unreachable_errors
from taske_ray.integrations.executors.values import as_json
from taske_ray.integrations.transport import Transport

_port: Final = 5432
_connect_s: Final = 5
_at_once: Final = 500
_most_bytes: Final = 5 * 1024 * 1024
# serialization, deadlock, too many connections, lock not available, cancelled, not yet ready
_try_again: Final = frozenset({"40001", "40P01", "53300", "55P03", "57014", "57P03"})
_classes: Final = {"28000": ErrorClass.AUTH_REVOKED, "28P01": ErrorClass.AUTH_REVOKED, "42501": ErrorClass.PERMISSION}
Connected = psycopg.AsyncConnection[dict[str, Any]]


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
                row_factory=dict_row,
                cursor_factory=psycopg.AsyncRawCursor,
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
    """The statement with its values; its rows as JSON up to the limits."""
    values = [Jsonb(each) if isinstance(each, dict | list) else each for each in params["values"] or []]
    most: int = params["max_rows"]
    async with connection.cursor() as cursor:
        # prepared, so always by the extended protocol, which takes one statement alone
        await cursor.execute(params["sql"].encode(), values, prepare=True)
        if cursor.description is None:
            return Succeeded({"rows": [], "count": cursor.rowcount, "truncated": False})
        rows: list[Any] = []
        size = 0
        while len(rows) <= most and (some := await cursor.fetchmany(_at_once)):
            read = [as_json(row) for row in some]
            size += sum(len(str(row)) for row in read)
            if size > _most_bytes:
                return place.failed(ErrorClass.FATAL, "too_large", "The rows are larger than 5 MiB.")
            rows += read
    kept = storable(rows[:most])
    return Succeeded({"rows": kept, "count": len(kept), "truncated": len(rows) > most})


def _answered(place: Place, error: psycopg.Error) -> Failed:
    """What the server said; it rolled back."""
    state = error.sqlstate or ""
    message = (error.diag.message_primary or str(error)).splitlines()[0]
    error_class = _classes.get(state, ErrorClass.TRANSIENT if state in _try_again else ErrorClass.INVALID)
    return place.failed(error_class, f"sql_{state.lower()}", message)
