"""The one outgoing HTTP client: aiohttp, corrected (durability 6.3) and guarded (security 10).

Nothing else in this tree opens connections for users. It never retries, keeps no cookies, knows no proxies, and
says honestly whether a request may have left: `NotSent`, `MaybeSent`, `Refused` (answered, but not acceptable).
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator

import aiohttp

from taske_ray.core.depth import depth_header
from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.outcome import ErrorClass
from taske_ray.core.url import BadUrl, WebUrl, canonical_host, literal_address, parse_url
from taske_ray.errors import TaskeError
from taske_ray.integrations.body import BodyRefused, read_body
from taske_ray.integrations.egress import EgressDenied, EgressGuard
from taske_ray.integrations.failures import MaybeSent, NotSent, Refused
from taske_ray.integrations.guarded_transport import (
    Exchange,
    GuardedTransport,
    LeaseOver,
    connect_failure,
    in_hand,
    is_about_headers,
    max_header_bytes,
)
from taske_ray.integrations.headers import HeaderRefused, checked_headers
from taske_ray.integrations.hosts import HostNotAllowed, check_binding
from taske_ray.integrations.redirects import redirected
from taske_ray.integrations.resolver import CheckingResolver, Lookup, SystemLookup, connect_timeout_s

max_timeout_s = 300.0
max_request_bytes = 6 * 1024 * 1024
max_redirects = 5

# A server may close an idle connection just as the next request goes out on it: short idle times make that rare.
idle_s = 4.0
careful_idle_s = 1.0


class Transport:
    """Sends requests; one per process, on one event loop.

    `connections` bounds the open ones. `lookup` answers a name with addresses (the system's resolver by default);
    every answer is checked. `own_urls` are where this service answers itself.
    """

    def __init__(
        self,
        *,
        guard: EgressGuard,
        connections: int = 400,
        lookup: Lookup | None = None,
        own_urls: Iterable[str] = (),
    ) -> None:
        self.guard = guard
        self._own = frozenset(_origins(own_urls))
        self._lookup = lookup or SystemLookup()
        self._usual = GuardedTransport(guard, self._lookup, connections=connections, idle_s=idle_s)
        self._careful = GuardedTransport(guard, self._lookup, connections=connections, idle_s=careful_idle_s)

    async def send(
        self,
        request: HttpRequest,
        *,
        timeout_s: float,
        careful: bool = False,
        may_send: Callable[[], bool] = lambda: True,
    ) -> HttpResponse:
        """One complete exchange, redirects included, within `timeout_s` of wall clock.

        `careful` takes no connection that idled for more than a second, for calls that must not become unknown.
        `may_send` is asked right before the first byte goes to the socket: no means not sent (the lease is over).
        Raises NotSent, MaybeSent or Refused.
        """
        journey = _Journey(self._careful if careful else self._usual, self.guard, request, may_send, self._own)
        try:
            async with asyncio.timeout(min(timeout_s, max_timeout_s)):
                return await journey.complete()
        except TimeoutError:
            if journey.may_have_left:
                raise MaybeSent("The service did not answer completely in time.", code="timeout") from None
            raise NotSent("timeout", "No connection could be made in time.") from None

    async def addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host for a protocol that is not HTTP, all of them allowed.

        Raises BadUrl for what is no host, EgressDenied, and NotSent when the name cannot be looked up just now.
        """
        name = canonical_host(host)
        self.guard.check_host(name, port, http=False)
        if (literal := literal_address(name)) is not None:
            return [str(literal)]
        try:
            found = await CheckingResolver(self.guard, self._lookup, http=False).resolve(name, port)
        except OSError:
            raise NotSent("name_not_found", "The host name could not be looked up.") from None
        return [each["host"] for each in found]

    async def dial(self, host: str, port: int) -> socket.socket:
        """A connected socket to one of the addresses of a host; raises as `addresses` does."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(connect_timeout_s):
                for address in await self.addresses(host, port):
                    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
                    sock.setblocking(False)
                    try:
                        await loop.sock_connect(sock, (address, port))
                    except OSError:
                        sock.close()
                    except BaseException:
                        sock.close()
                        raise
                    else:
                        return sock
        except TimeoutError:
            pass
        raise NotSent("connect_failed", "No connection could be made.")

    async def close(self) -> None:
        """Close every connection."""
        await self._usual.close()
        await self._careful.close()


class _Journey:
    """One request and the redirects it is led through."""

    def __init__(
        self,
        transport: GuardedTransport,
        guard: EgressGuard,
        request: HttpRequest,
        may_send: Callable[[], bool],
        own: frozenset[tuple[str, str, int]],
    ) -> None:
        self._may_send = may_send
        self._own = own
        self._transport = transport
        self._guard = guard
        self._request = request
        self._answered = False
        self._exchange: Exchange | None = None

    @property
    def may_have_left(self) -> bool:
        return self._answered or (self._exchange is not None and self._exchange.may_have_left)

    async def complete(self) -> HttpResponse:
        request = self._request
        for hop in range(min(request.max_redirects, max_redirects) + 1):
            url = self._checked(request)
            response = await self._one(request, url)
            self._answered = True
            follows = redirected(request, url, response)
            if follows is None or hop == min(request.max_redirects, max_redirects):
                return response
            request = follows
        raise AssertionError("the loop always returns")

    def _checked(self, request: HttpRequest) -> WebUrl:
        try:
            url = self._guard.check_url(request.url)
            check_binding(self._guard, request, url)
        except (EgressDenied, BadUrl, HostNotAllowed) as error:
            raise self._refusal(error.code, error.message) from None
        return url

    async def _one(self, request: HttpRequest, url: WebUrl) -> HttpResponse:
        self._exchange = exchange = Exchange(url.host, url.port, self._may_send)
        in_hand.set(exchange)
        headers = self._outgoing(request, url)
        try:
            return await self._exchanged(request, url, headers)
        except (EgressDenied, BadUrl) as error:
            raise self._refusal(error.code, error.message) from None
        except LeaseOver as error:
            raise self._refusal(error.code, error.message, ErrorClass.TRANSIENT) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise  # the one deadline over everything
            raise self._broken(exchange, error) from None

    def _outgoing(self, request: HttpRequest, url: WebUrl) -> dict[str, str]:
        """The headers as they go out."""
        length = len(request.body or b"") + len(request.url) + sum(map(len, request.headers.values()))
        if length > max_request_bytes:
            raise self._refusal("request_too_large", f"The request is larger than {max_request_bytes} bytes.")
        try:
            headers = checked_headers(request.headers)
        except HeaderRefused as error:
            raise self._refusal(error.code, error.message) from None
        headers.pop(depth_header, None)
        if request.depth and url.origin in self._own:  # ours alone to say, whatever the user or an earlier hop said
            headers[depth_header] = str(request.depth)
        return headers

    async def _exchanged(self, request: HttpRequest, url: WebUrl, outgoing: dict[str, str]) -> HttpResponse:
        response = await self._transport.request(request.method, url, outgoing, request.body or b"")
        try:
            headers, body = _readable_headers(response.raw_headers), b""
            if request.method != "HEAD":
                body = await read_body(response.content.iter_any(), headers, request.max_bytes)
        except BodyRefused as error:
            raise Refused(error.code, f"The service answered {response.status}. {error.message}") from None
        finally:
            response.release()
        return HttpResponse(status=response.status, headers=headers, body=body, url=url.text)

    def _broken(self, exchange: Exchange, error: Exception) -> TaskeError:
        if exchange.denied:
            return self._refusal(EgressDenied.code, EgressDenied().message)
        if exchange.may_have_left and is_about_headers(error):
            return Refused("headers_too_large", "The service answered. Its headers are larger than 64 KiB.")
        if exchange.may_have_left:
            return MaybeSent("The connection broke before the service answered completely.")
        code, message = connect_failure(error)
        return self._refusal(code, message, ErrorClass.TRANSIENT)

    def _refusal(self, code: str, message: str, error_class: ErrorClass = ErrorClass.FATAL) -> NotSent | Refused:
        """Not sent, or, once an earlier hop was answered, refused after a redirect."""
        return (Refused if self._answered else NotSent)(code, message, error_class)


def _origins(urls: Iterable[str]) -> Iterator[tuple[str, str, int]]:
    for url in urls:
        with contextlib.suppress(BadUrl):  # nobody can be sent there either
            yield parse_url(url).origin


def _readable_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Names in lower case; of those that come more than once, all values in one (RFC 9110, 5.3)."""
    readable: dict[str, str] = {}
    length = 0
    for name, value in raw:
        length += len(name) + len(value) + 4
        known, text = name.decode("latin-1").lower(), _text(value)
        readable[known] = f"{readable[known]}, {text}" if known in readable else text
    if length > max_header_bytes:
        raise BodyRefused("headers_too_large", "Its headers are larger than 64 KiB.")
    if readable.get("transfer-encoding", "chunked").strip().lower() != "chunked":
        raise BodyRefused("unsupported_encoding", "Its transfer coding is not plain chunks.")
    return readable


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
