"""The stub receiver: an outside service that answers at once and remembers every request, in its own process.

`python -m tests.bench.receiver` prints `listening on PORT`. It answers every POST with `{"receipt": N}`, N counting up,
so that the second request of a run can prove that it used the answer to the first. `GET /ledger?from=N` tells what
came (at, key, path, body; `at` in nanoseconds of the machine's monotonic clock), `GET /count` only how many,
and how many different keys they had.
"""

import asyncio
import sys
import time
from typing import NamedTuple, cast

import orjson
import uvloop

from tests.bench.wire import Message, Reader, response


class Received(NamedTuple):
    """One request: when it was read, its Idempotency-Key, path and body; its place in the ledger is its receipt."""

    at: int
    key: str
    path: str
    body: str


class Connection(asyncio.Protocol):
    """One keep-alive connection; all of them write into one ledger."""

    def __init__(self, ledger: list[Received], keys: set[str]) -> None:
        self._ledger = ledger
        self._keys = keys
        self._reader = Reader()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by class

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self._transport.write(b"".join([self._answer(message) for message in self._reader.feed(data)]))

    def _answer(self, message: Message) -> bytes:
        method, path, _ = message.start.decode().split(" ")
        if method == "GET":
            return response(self._look(path))
        key = message.header(b"idempotency-key").decode()
        self._ledger.append(Received(time.monotonic_ns(), key, path, message.body.decode()))
        self._keys.add(key)
        return response(b'{"receipt":%d}' % (len(self._ledger) - 1))

    def _look(self, path: str) -> bytes:
        name, _, query = path.partition("?from=")
        found = self._ledger[int(query or 0) :]
        return orjson.dumps(found if name == "/ledger" else self._counts(), default=list)

    def _counts(self) -> dict[str, int]:
        return {"count": len(self._ledger), "keys": len(self._keys)}


async def listen() -> None:
    """Listen on a free port of this machine until the process is ended."""
    ledger: list[Received] = []
    keys: set[str] = set()
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(ledger, keys), "127.0.0.1", 0, backlog=2048
    )
    sys.stdout.write(f"listening on {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(listen())
