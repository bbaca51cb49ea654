"""The external ledger: an outside service in a process of its own, which writes down what it gets before it answers.

`python -m tests.faults.receiver FILE SEED` prints `listening on PORT`. Each request becomes one line of FILE, on disk
before the answer leaves. The first request of a key is treated well, late, with 500, with 429 or by hanging up, as the
key's digest says; every later one is answered with 200, so that everything can succeed in the end.
"""

import asyncio
import hashlib
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final, cast

import orjson

from tests.bench.wire import Message, Reader, response
from tests.faults.oracle import Receipt

TREATMENTS: Final = (("error", 2), ("limit", 2), ("hang_up", 2), ("late", 4))
"""Of a hundred first requests, how many are treated how; the others get 200 at once."""
_late_s: Final = 1.5
_rejections: Final = {
    "error": b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n",
    "limit": b"HTTP/1.1 429 Too Many\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
}


def treatment(key: str, seed: str) -> str:
    """How the first request of a key is treated."""
    draw = int.from_bytes(hashlib.sha256(f"{seed}:{key}".encode()).digest()[:4], "big") % 100
    for name, share in TREATMENTS:
        if draw < share:
            return name
        draw -= share
    return "well"


class Ledger:
    """The file, and how often each key was seen."""

    def __init__(self, file: Path, seed: str) -> None:
        self._file = file.open("ab", buffering=0)
        self._seed = seed
        self._seen: Counter[str] = Counter()

    def enter(self, path: str, message: Message) -> str:
        """Write a request down, durably; how to treat it."""
        body: dict[str, Any] = orjson.loads(message.body)
        key = message.header(b"idempotency-key").decode()
        way = "well" if self._seen[key] else treatment(key, self._seed)
        self._seen[key] += 1
        line = {"key": key, "event": body["event"], "step": int(path.rpartition("/")[2]), "at": time.monotonic()}
        self._file.write(orjson.dumps(line) + b"\n")
        os.fdatasync(self._file.fileno())
        return way


class Connection(asyncio.Protocol):
    """One keep-alive connection, one request on its way at a time."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._reader = Reader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Write down what is complete, and answer it."""
        for message in self._reader.feed(data):
            way = self._ledger.enter(message.start.decode().split(" ")[1], message)
            if way == "hang_up":
                self._transport.abort()
            elif way == "late":
                asyncio.get_running_loop().call_later(_late_s, self._transport.write, response(b'{"ok":true}'))
            else:
                self._transport.write(_rejections.get(way) or response(b'{"ok":true}'))


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
