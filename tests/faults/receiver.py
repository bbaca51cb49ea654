"""The external ledger: an outside service in a process of its own, which writes down what it gets before it answers.

`python -m tests.faults.receiver FILE SEED` prints `listening on PORT`. Each request becomes one line of FILE, on disk
before the answer leaves. The first request of a key is treated as its digest says: well, late, with a refusal, with
half an answer, with one that never ends, with none, or by hanging up. Every later one is answered with 200, so that
everything can succeed in the end. Some connections are reset before anything is read from them.
"""

import asyncio
import hashlib
import os
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, cast

import orjson

from tests.bench.wire import Message, Reader, response
from tests.faults.oracle import Receipt

TREATMENTS: Final = (
    ("error", 2),
    ("limit", 1),
    ("hang_up", 1),
    ("reset", 2),
    ("hang", 1),
    ("half", 1),
    ("trickle", 1),
    ("late", 4),
)
"""Of a hundred first requests, how many are treated how; the others get 200 at once.

More failures than one in ten would meet the budget for retries, and the measurement would be of that.
"""
CONNECTIONS: Final = (("reset_at_once", 2), ("reset_unread", 2))
"""Of a hundred connections, how many are reset when they are there, or when there is something to read."""
_late_s: Final = 1.5
_unread_s: Final = 0.05
_drip_s: Final = 0.5
_ok: Final = response(b'{"ok":true}')
_endless: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n"
_rejections: Final = {
    "error": b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n",
    "limit": b"HTTP/1.1 429 Too Many\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
}
_answers: Final = {**_rejections, "half": _ok[:-5], "trickle": _endless, "hang": b""}
_at_once_linger: Final = struct.pack("ii", 1, 0)


def treatment(key: str, seed: str, shares: Iterable[tuple[str, int]] = TREATMENTS) -> str:
    """How the first request of a key is treated, or, by other shares, something else that has a name."""
    draw = int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:4], "big") % 100
    for name, share in shares:
        if draw < share:
            return name
        draw -= share
    return "well"


class Ledger:
    """The file, how often each key was seen, and how many connections there were."""

    def __init__(self, file: Path, seed: str) -> None:
        self._file = file.open("ab", buffering=0)
        self._seed = seed
        self._seen: Counter[str] = Counter()
        self._connections = 0

    def connection(self) -> str:
        """How to treat a connection that has just come."""
        self._connections += 1
        return treatment(f"connection {self._connections}", self._seed, CONNECTIONS)

    def enter(self, path: str, message: Message) -> str:
        """Write a request down, durably; how to treat it."""
        body: dict[str, Any] = orjson.loads(message.body)
        key = message.header(b"idempotency-key").decode()
        way = "well" if self._seen[key] else treatment(key, self._seed)
        self._seen[key] += 1
        step, digest = int(path.rpartition("/")[2]), hashlib.sha256(message.body).hexdigest()
        line = Receipt(key, body["event"], step, time.monotonic(), path, digest)
        self._file.write(orjson.dumps(line) + b"\n")
        os.fdatasync(self._file.fileno())
        return way


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request on its way at a time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._reader = Reader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go; or want none of it."""
        self._transport = cast("asyncio.Transport", transport)
        match self._ledger.connection():
            case "reset_at_once":
                self._reset()
            case "reset_unread":
                self._transport.pause_reading()
                self._later(_unread_s, self._reset)

    def data_received(self, data: bytes) -> None:
        """Write down what is complete, and answer it."""
        for message in self._reader.feed(data):
            self._answer(self._ledger.enter(message.start.decode().split(" ")[1], message))

    def _answer(self, way: str) -> None:
        match way:
            case "hang_up":
                self._transport.abort()
            case "reset":
                self._reset()
            case "late":
                self._later(_late_s, self._transport.write, _ok)
            case _:
                self._transport.write(_answers.get(way, _ok))
                if way == "trickle":
                    self._drip()

    def _drip(self) -> None:
        """A byte of an answer again and again, until the other side has had enough."""
        if not self._transport.is_closing():
            self._transport.write(b" ")
            self._later(_drip_s, self._drip)

    def _reset(self) -> None:
        """End the connection with RST, where `abort` alone says goodbye with FIN."""
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _at_once_linger)
        self._transport.abort()

    def _later(self, seconds: float, act: Callable[..., Any], *arguments: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, act, *arguments)


def read(file: Path) -> list[Receipt]:
    """The ledger."""
    return [Receipt(**orjson.loads(line)) for line in file.read_bytes().splitlines()]


async def listen(file: Path, seed: str) -> None:
    """Listen on a free port of this machine until the process is ended."""
    ledger = Ledger(file, seed)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(ledger), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"listening on {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(listen(Path(sys.argv[1]), sys.argv[2]))
