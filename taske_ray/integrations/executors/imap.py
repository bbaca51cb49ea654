"""`imap`: the new mails of a mailbox (module `email`), by the standard library's client on a socket of ours.

The library blocks, so it works in threads of its own, which nobody else waits for. What it reads is bounded, and how
long that may take, because a server decides how much it sends and how slowly.
"""

import asyncio
import contextlib
import email
import imaplib
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from typing import Any, Final

from taske_ray.core.capability import CallContext, ConnectionValues, fetched
from taske_ray.core.outcome import ErrorClass, Failed, Outcome, Succeeded
from taske_ray.core.times import format_time, parse_time
from taske_ray.integrations.executors.port import Job, Place, unreachable_errors
from taske_ray.integrations.transport import Transport

_ports: Final = {"tls": 993, "starttls": 143, "none": 143}
_months: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_most_mails: Final = 500
_threads: Final = 256  # more than one user may have under way at one host
_first_bytes: Final = 256 * 1024
_most_bytes: Final = 50 * 1024 * 1024
_most_text: Final = 100_000
_internal_date: Final = re.compile(rb'INTERNALDATE "([^"]+)"')
_date_form: Final = "%d-%b-%Y %H:%M:%S %z"
_uid: Final = re.compile(rb"UID (\d+)")
Act = Callable[["_Client"], Any]


class Imap:
    """Reads mailboxes that users name."""

    def __init__(self, transport: Transport, *, context: ssl.SSLContext | None = None) -> None:
        self._transport = transport
        self._context = context or ssl.create_default_context()
        self._threads = ThreadPoolExecutor(max_workers=_threads, thread_name_prefix="imap")

    async def perform(self, job: Job) -> Outcome:
        """The mails that arrived since the cursor, oldest first."""
        place, call = _place(job.connection), job.call
        cursor = call.cursor or {"from": None, "value": None}
        since = parse_time(cursor["from"]) if cursor["from"] else parse_time(call.now)
        found = await self._session(place, call.timeout_s, lambda client: _read(client, job.params["mailbox"], since))
        if isinstance(found, Failed):
            return found
        mails, truncated = found
        context = CallContext(call.params, call.now, job.connection, cursor=cursor)
        return fetched(job.capability, context, mails, truncated=truncated)

    async def test(self, connection: ConnectionValues) -> Succeeded | Failed:
        """Connect and log in."""
        place = _place(connection)
        found = await self._session(place, 30.0, lambda client: client.noop())
        return found if isinstance(found, Failed) else Succeeded({"label": str(place.values["username"])})

    async def _session(self, place: Place, timeout_s: float, act: Act) -> Any:
        """What `act` found after the login, or a failure."""
        try:
            sock = await self._transport.dial(place.host, place.port)
        except unreachable_errors as error:
            return place.unreachable(error)
        line = sock.dup()  # the library may wrap the socket in another one
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                return await loop.run_in_executor(self._threads, self._spoken, sock, place, timeout_s, act)
        except (_LoginRefusedError, imaplib.IMAP4.error, OSError) as error:  # a timeout is an OSError
            return _failed(place, error)
        finally:
            with contextlib.suppress(OSError):  # the other side has gone already
                line.shutdown(socket.SHUT_RDWR)  # what ends the thread when the time is over
            line.close()
            sock.close()

    def _spoken(self, sock: socket.socket, place: Place, timeout_s: float, act: Act) -> Any:
        sock.settimeout(timeout_s)
        security = place.values.get("security") or "tls"
        if security == "tls":
            sock = self._context.wrap_socket(sock, server_hostname=place.host)
        client = _Client(sock)
        if security == "starttls":
            client.starttls(self._context)
        try:
            client.login(place.values["username"], place.values["password"])
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            raise _LoginRefusedError(str(error)) from None
        found = act(client)
        client.logout()
        return found


class _LoginRefusedError(Exception):
    """The server knows no such user or password."""


class _Client(imaplib.IMAP4):
    """The library's client on a socket that is connected already, reading no more than it may."""

    def __init__(self, sock: socket.socket) -> None:
        self._connected = sock
        self._left = _most_bytes
        super().__init__()

    def _create_socket(self, timeout: float | None) -> socket.socket:
        del timeout  # the socket has its own
        return self._connected

    def read(self, size: int) -> bytes:
        """So many bytes, as long as the session has not read too much."""
        self._count(size)
        return super().read(size)

    def readline(self) -> bytes:
        """A line, as long as the session has not read too much."""
        line = super().readline()
        self._count(len(line))
        return line

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise self.abort("the server sends too much")


def _failed(place: Place, error: Exception) -> Failed:
    if isinstance(error, _LoginRefusedError):
        return place.failed(ErrorClass.AUTH_REVOKED, "imap_login", f"The mail server refused the login: {error}")
    if isinstance(error, imaplib.IMAP4.error) and not isinstance(error, imaplib.IMAP4.abort):
        return place.failed(ErrorClass.INVALID, "imap_refused", f"The mail server says: {error}")
    message = f"The mail server went away: {type(error).__name__}."
    return place.failed(ErrorClass.TRANSIENT, "imap_broken", message)


def _place(connection: ConnectionValues) -> Place:
    return Place(connection, _ports[connection.config.get("security") or "tls"])


def _read(client: _Client, mailbox: str, since: datetime) -> tuple[list[dict[str, Any]], bool]:
    """(mails, whether there were more) of a mailbox since a moment; flags stay as they are."""
    kind, answer = client.select(f'"{mailbox}"' if " " in mailbox else mailbox, readonly=True)
    if kind != "OK":
        raise client.error(f"no mailbox {mailbox}: {(answer[0] or b'').decode('utf-8', 'replace')}")
    validity = (client.response("UIDVALIDITY")[1] or [b"0"])[0]
    day = since - timedelta(days=1)  # the server's own day, wherever it is
    uids = client.uid("SEARCH", "SINCE", f"{day.day}-{_months[day.month - 1]}-{day.year}")[1][0].split()
    kept = uids[-_most_mails:]
    mails = []
    for first in range(0, len(kept), 50):
        wanted = b",".join(kept[first : first + 50]).decode()
        parts = client.uid("FETCH", wanted, f"(UID INTERNALDATE BODY.PEEK[]<0.{_first_bytes}>)")[1]
        mails += [_mail(head, raw, (validity or b"0").decode()) for head, raw in _pairs(parts)]
    found = [mail for mail in mails if parse_time(mail["received_at"]) >= since.replace(microsecond=0)]
    return sorted(found, key=lambda mail: (mail["received_at"], mail["uid"])), len(uids) > len(kept)


def _pairs(parts: list[Any]) -> Iterator[tuple[bytes, bytes]]:
    yield from ((part[0], part[1]) for part in parts if isinstance(part, tuple))


def _mail(head: bytes, raw: bytes, validity: str) -> dict[str, Any]:
    """One mail as JSON; a part that cannot be read is left out."""
    message = email.message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    numbered = _uid.search(head)
    uid = int(numbered[1]) if numbered else 0
    return {
        "key": f"{validity}:{uid}",
        "uid": uid,
        "received_at": _received_at(head),
        "message_id": _text(message, "message-id"),
        "subject": _text(message, "subject"),
        "from": _text(message, "from"),
        "to": _text(message, "to"),
        "date": _text(message, "date"),
        "text": _body(message, "plain"),
        "html": _body(message, "html"),
        "attachments": list(_attachments(message)),
    }


def _received_at(head: bytes) -> str:
    """When the server took the mail (RFC 3501, date-time)."""
    found = _internal_date.search(head)
    text = found[1].decode("ascii", "replace").strip() if found else "01-Jan-1970 00:00:00 +0000"
    return format_time(datetime.strptime(text, _date_form).astimezone(UTC))


def _text(message: EmailMessage, name: str) -> str | None:
    try:
        value = message[name]
    except (ValueError, IndexError, AttributeError):  # the library trips over some broken headers
        return None
    return None if value is None else str(value)[:2000]


def _body(message: EmailMessage, kind: str) -> str | None:
    try:
        part = message.get_body((kind,))
        return None if part is None else str(part.get_content())[:_most_text]
    except (LookupError, ValueError, AttributeError, AssertionError):
        return None


def _attachments(message: EmailMessage) -> Iterator[dict[str, Any]]:
    for part in message.iter_attachments():
        yield {"filename": part.get_filename(), "content_type": part.get_content_type()}
