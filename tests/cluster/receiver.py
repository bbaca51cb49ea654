"""The outside world of these tests: an HTTP server in a thread of its own that answers as it is told and remembers all.

`serve` makes a fresh address with its answers in order, the last one for ever. A raw server and no framework, because
half of the answers are ones that no framework gives: none at all, half of one, too much.
"""

import asyncio
import contextlib
import hashlib
import itertools
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any

_megabyte = b"x" * 2**20


class Gate:
    """Closed until a test opens it: what stands behind it waits."""

    def __init__(self, loop):
        self._loop = loop
        self._opened = asyncio.Event()

    def open(self):
        """Let everyone through, from any thread."""
        self._loop.call_soon_threadsafe(self._opened.set)

    async def wait(self):
        """Return once it is open."""
        await self._opened.wait()


@dataclass(frozen=True)
class Answer:
    """How one request is answered. `cut`: read it, hang up; `hang`: never; `after_s`: so late; `megabytes`: of body."""

    body: Any = field(default_factory=lambda: {"ok": True})
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    gate: Gate | None = None
    after_s: float = 0.0
    cut: bool = False
    hang: bool = False
    megabytes: int = 0
    raw: bytes | None = None


@dataclass(frozen=True)
class Received:
    """One request as it came; `at` in seconds of the machine's monotonic clock, `number` over all addresses.

    `digest` is of the body's bytes.
    """

    number: int
    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    digest: str

    @property
    def key(self):
        """Its Idempotency-Key."""
        return self.headers.get("idempotency-key")


class Receiver:
    """The server; a context manager."""

    def __init__(self):
        self.received = []
        self._answers = {}
        self._numbers = itertools.count()
        self._paths = itertools.count(1)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def place(self):
        """Its `host:port`."""
        return f"127.0.0.1:{self.port}"

    def serve(self, *answers):
        """A fresh address that gives these answers, one to each request and the last one for ever."""
        path = f"/{next(self._paths)}"
        self.answer(path, *answers)
        return f"http://{self.place}{path}"

    def answer(self, address, *answers):
        """Give an address other answers from now on."""
        self._answers[self._path(address)] = list(answers or [Answer()])

    def gate(self):
        """A closed gate."""
        return Gate(self._loop)

    def at(self, address):
        """The requests to an address, in order."""
        path = self._path(address)
        return [each for each in list(self.received) if each.path.partition("?")[0] == path]

    def _path(self, address):
        return address.removeprefix(f"http://{self.place}").partition("?")[0]

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()

    async def _serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._exchange(reader, writer):
                pass
        writer.close()

    async def _exchange(self, reader, writer):
        request = await self._read(reader)
        answers = self._answers.get(self._path(request.path), [Answer(status=404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.received.append(request)
        if answer.gate is not None:
            await answer.gate.wait()
        await asyncio.sleep(answer.after_s)
        if answer.hang:
            await asyncio.Event().wait()
        if answer.cut:
            return False
        await self._write(writer, answer)
        return True

    async def _read(self, reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ")
        pairs = (line.split(":", 1) for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, value in pairs}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        digest = hashlib.sha256(body).hexdigest()
        with contextlib.suppress(ValueError):
            body = json.loads(body)
        return Received(next(self._numbers), time.monotonic(), method, path, headers, body, digest)

    async def _write(self, writer, answer):
        raw = json.dumps(answer.body).encode() if answer.raw is None else answer.raw
        headers = {"content-type": "application/json", **answer.headers}
        length = answer.megabytes * len(_megabyte) or len(raw)
        lines = [f"HTTP/1.1 {answer.status} Said", f"content-length: {length}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        if not answer.megabytes:
            writer.write(raw)
        for _ in range(answer.megabytes):
            writer.write(_megabyte)
            await writer.drain()
        await writer.drain()
