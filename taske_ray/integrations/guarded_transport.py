"""aiohttp, corrected (durability 6.3): checked addresses, no second try, no cookies, bodies as they come."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import aiohttp
import certifi
import yarl
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong

from taske_ray.core.url import BadUrl, WebUrl
from taske_ray.errors import TaskeError
from taske_ray.integrations.egress import EgressDenied, EgressGuard
from taske_ray.integrations.resolver import CheckingResolver, Lookup, connect_timeout_s

max_header_bytes = 64 * 1024
max_headers = 500


@dataclass(slots=True)
class Exchange:
    """What is known about the request in hand while the library works on it."""

    host: str
    port: int
    may_send: Callable[[], bool]
    may_have_left: bool = False
    denied: bool = False
    connect_by: float | None = None


in_hand: ContextVar[Exchange] = ContextVar("exchange")


class GuardedTransport:
    """So many connections to services, each kept for `idle_s`: checked addresses, no retries, cookies or proxies."""

    def __init__(self, guard: EgressGuard, lookup: Lookup, *, connections: int, idle_s: float) -> None:
        self.ssl_context = ssl.create_default_context(cafile=certifi.where())
        self._guard = guard
        self._lookup = lookup
        self._connections = connections
        self._idle_s = idle_s
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._session: aiohttp.ClientSession | None = None

    def open_session(self) -> aiohttp.ClientSession:
        """A session that keeps connections, and nothing else, between requests."""
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            keepalive_timeout=self._idle_s,
            ssl=self.ssl_context,
            use_dns_cache=False,
            resolver=CheckingResolver(self._guard, self._lookup),
            socket_factory=self._checked_socket,
        )
        tracing = aiohttp.TraceConfig()
        tracing.on_request_headers_sent.append(_mark_left)
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept", "Accept-Encoding"),
            trace_configs=[tracing],
            max_field_size=max_header_bytes,
            max_headers=max_headers,
            read_bufsize=64 * 1024,
        )
        session._retry_connection = False  # noqa: SLF001 - no public switch: aiohttp repeats idempotent methods by itself
        return session

    async def request(
        self, method: str, url: WebUrl, headers: Mapping[str, str], body: bytes
    ) -> aiohttp.ClientResponse:
        """Send exactly this request, and return as soon as the head of the answer is there; errors are aiohttp's.

        Whoever has read what they want of the answer releases it.
        """
        if self._session is None:
            self._session = self.open_session()
        return await self._session.request(
            method, _wire_url(url), headers=headers, data=body or None, allow_redirects=False, timeout=self._timeout
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    def _checked_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """A socket for an address, checked once more: literals, and whatever the library may do one day."""
        family, kind, protocol, _, place = address
        exchange = in_hand.get(None)
        try:
            self._guard.check_address(exchange.host if exchange else None, place[0], place[1])
        except EgressDenied:
            if exchange is not None:
                exchange.denied = True
            raise
        if exchange is not None:
            _keep_to_connect_timeout(exchange)
        return socket.socket(family, kind, protocol)


class LeaseOver(TaskeError):
    """The run may have been taken over; nothing was sent."""

    code = "lease_over"


async def _mark_left(_session: aiohttp.ClientSession, _context: SimpleNamespace, _params: object) -> None:
    """Called right before the first byte of the headers is written."""
    exchange = in_hand.get()
    if not exchange.may_send():
        raise LeaseOver
    exchange.may_have_left = True


def _keep_to_connect_timeout(exchange: Exchange) -> None:
    """The library allows its timeout to each address again; a name with many dead ones gets it once."""
    now = asyncio.get_running_loop().time()
    if exchange.connect_by is None:
        exchange.connect_by = now + connect_timeout_s
    elif now > exchange.connect_by:
        raise OSError(errno.ETIMEDOUT, "no address answered in time")


def _wire_url(url: WebUrl) -> yarl.URL:
    """The checked URL for aiohttp, byte for byte; another reading of host or port would be a hole."""
    wire = yarl.URL(url.text, encoded=True)
    if wire.raw_host != url.host or wire.port != url.port or wire.scheme != url.scheme:
        raise BadUrl
    return wire


def is_about_headers(error: BaseException | None) -> bool:
    """Whether the library gave up reading because there were too many headers, or too long ones."""
    while error is not None:
        if isinstance(error, LineTooLong) or (isinstance(error, BadHttpMessage) and "Too many headers" in str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def connect_failure(error: Exception) -> tuple[str, str]:
    """A code and a text that tell nothing about the place beyond the kind of failure."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "name_not_found", "The host name could not be looked up."
    if isinstance(error, aiohttp.ClientSSLError):
        return "tls_failed", "No trusted TLS connection could be made."
    return "connect_failed", "No connection could be made."
