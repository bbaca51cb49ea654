"""A raw TCP server on loopback whose answers each test writes, byte for byte."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.transport import Transport

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    """Where it listens, what it received (whole requests), and how many connections it saw."""

    port: int = 0
    received: list[bytes] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str = "/") -> str:
        """The address of a path here."""
        return f"http://127.0.0.1:{self.port}{path}"

    def request(self, method: str = "GET", path: str = "/", **more: object) -> HttpRequest:
        """A request to here."""
        return HttpRequest(method=method, url=self.url(path), **more)  # type: ignore[arg-type]


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            head += await reader.readexactly(int(line.partition(b":")[2]))
    return head


def reply(body: bytes = b"ok", *headers: str, status: str = "200 OK") -> bytes:
    """A complete response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def serving(answer: Answer, **how: object) -> AsyncIterator[RawServer]:
    """A server that reads each request and then does what `answer` says; `how` is for `asyncio.start_server`."""
    server = RawServer()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            while not writer.is_closing():
                request = await _read_request(reader)
                server.received.append(request)
                await answer(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, **how)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()


def fixed(response: bytes) -> Answer:
    """Always this response."""

    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(response)

    return answer


async def send(transport: Transport, request: HttpRequest, timeout_s: float = 5.0) -> HttpResponse:
    """Send a request within a time that is enough for loopback."""
    return await transport.send(request, timeout_s=timeout_s)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """A transport that may reach loopback."""
    transport = Transport(guard=EgressGuard(["127.0.0.0/8"]))
    yield transport
    await transport.close()


@pytest.fixture
async def strict():
    """A transport that may reach nothing but what the operator named."""
    made = []

    def make(*issuers):
        transport = Transport(guard=EgressGuard([issuer.removeprefix("http://") for issuer in issuers]))
        made.append(transport)
        return transport

    yield make
    for transport in made:
        await transport.close()
