"""Answers that are too large, packed or endless: read within bounds, or refused."""

import gzip
import tracemalloc

import pytest

from taske_ray.integrations.failures import MaybeSent, Refused
from tests.integration.integrations.conftest import fixed, reply, send, serving


@pytest.mark.parametrize("declared", [True, False])
async def test_a_huge_body_is_refused(transport, declared):
    """More than max_bytes is refused, whether announced or not, and the connection is not used again."""

    async def answer(_, writer):
        length = "Content-Length: 100000000" if declared else "Transfer-Encoding: chunked"
        writer.write(f"HTTP/1.1 200 OK\r\n{length}\r\n\r\n".encode())
        for _ in range(200):
            writer.write(b"x" * 1000 if declared else b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        await writer.drain()

    async with serving(answer) as server:
        with pytest.raises(Refused) as raised:
            await send(transport, server.request(max_bytes=100_000))
    assert raised.value.code == "response_too_large"


async def test_gzip_is_decoded(transport):
    """A gzip body, also of two members, is read as its text."""
    body = gzip.compress(b"one ") + gzip.compress(b"two")
    async with serving(fixed(reply(body, "Content-Encoding: gzip"))) as server:
        assert (await send(transport, server.request())).body == b"one two"


async def test_a_gzip_bomb_is_refused_in_little_memory(transport):
    """64 MiB of zeros behind 64 KiB are refused at the cap, without being built."""
    body = gzip.compress(bytes(64 * 1024 * 1024))
    async with serving(fixed(reply(body, "Content-Encoding: gzip"))) as server:
        tracemalloc.start()
        try:
            with pytest.raises(Refused) as raised:
                await send(transport, server.request(max_bytes=1024 * 1024))
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert raised.value.code == "response_too_large"
    assert peak < 6 * 1024 * 1024


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip"])
async def test_other_codings_are_refused(transport, coding):
    """We asked for gzip; anything else is not read."""
    async with serving(fixed(reply(b"x", f"Content-Encoding: {coding}"))) as server:
        with pytest.raises(Refused) as raised:
            await send(transport, server.request())
    assert raised.value.code == "unsupported_encoding"


async def test_broken_gzip_is_refused(transport):
    """Data that is not gzip, or ends early, is refused."""
    for body in (b"not gzip", gzip.compress(b"x" * 1000)[:-10]):
        async with serving(fixed(reply(body, "Content-Encoding: gzip"))) as server:
            with pytest.raises(Refused) as raised:
                await send(transport, server.request())
        assert raised.value.code == "bad_encoding"


@pytest.mark.parametrize(
    "headers",
    [
        [f"X-{i}: {'v' * 1000}" for i in range(80)],
        [f"X-One: {'v' * 70_000}"],
        [f"X-{i}: v" for i in range(600)],
    ],
)
async def test_too_many_header_bytes_are_refused(transport, headers):
    """Response headers of more than 64 KiB are not taken, as many or as one; the service did answer."""
    async with serving(fixed(reply(b"x", *headers))) as server:
        with pytest.raises(Refused) as raised:
            await send(transport, server.request())
    assert raised.value.code == "headers_too_large"


async def test_large_headers_are_taken(transport):
    """What is within the limit is read, in one header or in many."""
    async with serving(fixed(reply(b"x", f"X-One: {'v' * 40_000}", *[f"X-{i}: {i}" for i in range(100)]))) as server:
        response = await send(transport, server.request())
    assert len(response.headers["x-one"]) == 40_000
    assert response.headers["x-99"] == "99"


async def test_headers_without_end_are_given_up(transport):
    """A server that never stops sending headers is left, long before they fill the memory."""
    sent = 0

    async def answer(_, writer):
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while not writer.is_closing() and sent < 64 * 1024 * 1024:
            writer.write(b"X-More: " + b"v" * 1000 + b"\r\n")
            sent += 1010
            await writer.drain()

    async with serving(answer) as server:
        with pytest.raises((Refused, MaybeSent)):
            await send(transport, server.request())
    assert sent < 16 * 1024 * 1024


@pytest.mark.parametrize("coding", ["gzip, chunked", "gzip", "x-gzip, chunked", "deflate, chunked"])
async def test_transfer_codings_are_refused(transport, coding):
    """Chunks are taken, nothing that would have to be decoded under another name."""
    body = gzip.compress(b"hidden")
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"

    async def answer(_, writer):
        writer.write(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\nConnection: close\r\n\r\n".encode() + chunked)
        writer.close()

    async with serving(answer) as server:
        with pytest.raises((Refused, MaybeSent)) as raised:
            await send(transport, server.request())
    assert raised.value.code in ("unsupported_encoding", "unknown_outcome")


async def test_what_was_packed_twice_is_unpacked_once(transport):
    """Gzip inside gzip, announced once, stays the inner bytes: nothing unpacks further than it was told."""
    inner = gzip.compress(bytes(1024 * 1024))
    async with serving(fixed(reply(gzip.compress(inner), "Content-Encoding: gzip"))) as server:
        assert (await send(transport, server.request())).body == inner


async def test_codings_in_two_headers_are_nested(transport):
    """Said twice is said as a list."""
    body = gzip.compress(gzip.compress(b"x"))
    async with serving(fixed(reply(body, "Content-Encoding: gzip", "Content-Encoding: gzip"))) as server:
        with pytest.raises(Refused) as raised:
            await send(transport, server.request())
    assert raised.value.code == "unsupported_encoding"
