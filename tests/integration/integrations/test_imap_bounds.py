"""Mail servers that mean no good: what they send is bounded, and so is how long they keep us."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from taske_ray.core.capability import ConnectionValues
from taske_ray.core.outcome import ErrorClass
from taske_ray.integrations.executors import imap

pytestmark = pytest.mark.integration


@asynccontextmanager
async def server(talk):
    """The port of a server that talks like this, and whether its client has hung up."""
    hung_up = asyncio.Event()

    async def connected(reader, writer):
        talking = asyncio.create_task(talk(reader, writer))
        try:
            while await reader.read(65536):
                pass
        except OSError:
            pass
        hung_up.set()
        talking.cancel()
        writer.transport.abort()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1], hung_up


def mailbox(port):
    config = {"host": "127.0.0.1", "port": port, "security": "none", "username": "demouser"}
    return ConnectionValues("imap", config, {"password": "demopass"})


async def test_lines_without_end_are_not_read_to_the_end(transport, monkeypatch):
    """Lines count like mails: a server that never stops is left as soon as it has said too much."""
    monkeypatch.setattr(imap, "_most_bytes", 1_000_000)
    said = 0

    async def talk(_reader, writer):
        nonlocal said
        writer.write(b"* OK ready\r\n")
        while True:
            writer.write(b"* OK " + b"x" * 10_000 + b"\r\n")
            said += 10_000
            await writer.drain()

    async with server(talk) as (port, hung_up):
        failed = await imap.Imap(transport).test(mailbox(port))
        assert (failed.error_class, failed.code) == (ErrorClass.TRANSIENT, "imap_broken")
        async with asyncio.timeout(5):
            await hung_up.wait()
    assert said < 30_000_000  # what was read, and what fits into the buffers between


async def test_a_server_that_drips_is_left_when_the_time_is_over(transport, monkeypatch):
    """A line that comes byte by byte never lets a read time out; the connection ends all the same."""
    act = imap.Imap._session

    async def hurried(self, place, _timeout_s, work):
        return await act(self, place, 0.5, work)

    monkeypatch.setattr(imap.Imap, "_session", hurried)

    async def talk(_reader, writer):
        while True:
            writer.write(b"*")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with server(talk) as (port, hung_up):
        failed = await imap.Imap(transport).test(mailbox(port))
        assert (failed.error_class, failed.code) == (ErrorClass.TRANSIENT, "imap_broken")
        async with asyncio.timeout(5):
            await hung_up.wait()
