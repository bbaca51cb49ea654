"""The outgoing client against a server that misbehaves on purpose."""

import asyncio
import socket

import pytest

from taske_ray.core.http import HttpRequest
from taske_ray.integrations.failures import MaybeSent, NotSent
from tests.integration.integrations.conftest import fixed, reply, send, serving

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


async def test_sends_and_reads(transport):
    """Method, path, query, headers and body arrive as written, and the answer comes back whole."""
    async with serving(fixed(reply(b'{"a":1}', "Content-Type: application/json", "X-Two: b"))) as server:
        response = await send(
            transport, server.request("POST", "/p%2Fq?x=%201&y=%C3%A9", headers={"x-one": "é"}, body=b"hello")
        )
    head, _, body = server.received[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /p%2Fq?x=%201&y=%C3%A9 HTTP/1.1")
    assert "x-one: é".encode() in head
    assert body == b"hello"
    assert (response.status, response.body, response.headers["x-two"]) == (200, b'{"a":1}', "b")


async def test_connections_are_kept(transport):
    """Two requests in a row use one connection."""
    async with serving(fixed(reply())) as server:
        for _ in range(3):
            await send(transport, server.request())
    assert server.connections == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kept", [False, True])
async def test_closed_without_an_answer_is_unknown(transport, method, kept):
    """A server that reads the request and closes got it exactly once, and we say that we do not know."""
    answered = 0 if kept else 1

    async def answer(_, writer):
        nonlocal answered
        if answered:
            writer.close()
        else:
            writer.write(reply())
            answered = 1

    async with serving(answer) as server:
        if kept:
            await send(transport, server.request())
        with pytest.raises(MaybeSent):
            await send(transport, server.request(method, body=b"x" if method in ("POST", "PUT") else None))
    assert len(server.received) == (2 if kept else 1)


async def test_refused_connection_is_not_sent(transport):
    """Nobody listens: nothing left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NotSent) as raised:
            await send(transport, HttpRequest("POST", f"http://127.0.0.1:{taken.getsockname()[1]}/"))
    assert raised.value.code == "connect_failed"


async def test_a_hang_ends_at_the_deadline(transport):
    """No answer at all is unknown once the time is over."""

    async def answer(_, __):
        await asyncio.Event().wait()

    async with serving(answer) as server:
        with pytest.raises(MaybeSent):
            await send(transport, server.request("POST"), timeout_s=0.2)


@pytest.mark.parametrize(
    ("begins", "piece"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-More: v\r\n"),
    ],
    ids=["body", "headers"],
)
async def test_a_trickle_ends_at_the_deadline(transport, begins, piece):
    """A byte or a header line now and then does not move the deadline."""

    async def answer(_, writer):
        writer.write(begins)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)

    async with serving(answer) as server:
        started = asyncio.get_running_loop().time()
        with pytest.raises(MaybeSent):
            await send(transport, server.request(), timeout_s=0.3)
    assert asyncio.get_running_loop().time() - started < 2


async def test_a_cut_body_is_unknown(transport):
    """A body shorter than announced is no complete answer."""

    async def answer(_, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        writer.close()

    async with serving(answer) as server:
        with pytest.raises(MaybeSent):
            await send(transport, server.request("POST"))


async def test_garbage_is_unknown(transport):
    """Bytes that are not HTTP are no answer."""
    async with serving(fixed(b"220 mail.example ESMTP\r\n\r\n")) as server:
        with pytest.raises(MaybeSent):
            await send(transport, server.request())


async def test_a_huge_request_is_not_sent(transport):
    """A request of more than 6 MiB never leaves."""
    async with serving(fixed(reply())) as server:
        with pytest.raises(NotSent) as raised:
            await send(transport, server.request("POST", body=bytes(6 * 1024 * 1024)))
    assert raised.value.code == "request_too_large"
    assert not server.received


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "HOST", "Connection", "Content-Length", "Transfer-Encoding", "Forwarded", "TE", "Upgrade", "Trailer"),
        *("X-Forwarded-For", "x-forwarded-anything", "Proxy-Authorization", "Expect", "a b", "a:b", "a\r\nb", "", "é"),
    ],
)
async def test_headers_of_ours_cannot_be_set(transport, name):
    """Framing and forwarding headers, and names that are none, are refused before anything is sent."""
    with pytest.raises(NotSent) as raised:
        await send(transport, HttpRequest("GET", "http://127.0.0.1:1/", headers={name: "x"}))
    assert raised.value.code == "header_not_allowed"


@pytest.mark.parametrize("value", ["a\r\nHost: evil", "a\nb", "a\rb", "a\0b", "\x7f", "\ud800"])
async def test_header_values_stay_on_their_line(transport, value):
    """A line break, another control character or half of a character in a value is refused."""
    with pytest.raises(NotSent) as raised:
        await send(transport, HttpRequest("GET", "http://127.0.0.1:1/", headers={"x-a": value}))
    assert raised.value.code == "header_not_allowed"


async def test_our_headers_come_once(transport):
    """Whatever is asked for, the codings are ours; user agent and accept are the request's own."""
    given = {"Accept-Encoding": "br, zstd", "User-Agent": "mine", "ACCEPT": "a/b"}
    async with serving(fixed(reply())) as server:
        await send(transport, server.request(headers=given))
    head = server.received[0].lower()
    assert head.count(b"accept-encoding: gzip\r\n") == 1
    assert head.count(b"accept-encoding") == head.count(b"user-agent: mine") == head.count(b"accept: a/b") == 1
    assert head.count(b"\r\nhost: ") == 1


async def test_no_cookie_is_kept(transport):
    """A cookie of one answer is not sent with the next request."""
    async with serving(fixed(reply(b"", "Set-Cookie: who=alice; Path=/"))) as server:
        await send(transport, server.request())
        await send(transport, server.request())
    assert b"cookie" not in server.received[1].lower()


async def test_proxies_of_the_environment_are_ignored(transport, monkeypatch):
    """HTTP_PROXY changes nothing."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with serving(fixed(reply())) as server:
        assert (await send(transport, server.request())).status == 200


async def test_cancelling_releases_the_connection(transport):
    """A cancelled request closes its connection, and the next one works."""
    first = asyncio.Event()

    async def answer(request, writer):
        if b"/slow" in request:
            first.set()
            await asyncio.Event().wait()
        writer.write(reply())

    async with serving(answer) as server:
        slow = asyncio.create_task(send(transport, server.request(path="/slow")))
        await first.wait()
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert (await send(transport, server.request(path="/next"))).body == b"ok"
