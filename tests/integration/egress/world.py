"""A program in a network of its own: every address leads to its listeners, names are answered by its own server.

It reads one question a line (JSON: a sink and a URL, or a table of names), drives the real client with the policy
unmodified, and answers with what came of it, who was connected to, and what was looked up. Run by `conftest.py`.
"""

import asyncio
import json
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.own import OwnMachine
from taske_ray.integrations.transport import Transport
from tests.integration.egress import namespace
from tests.integration.egress.names import Names, serve_names
from tests.integration.egress.sinks import SINKS, public_answer
from tests.integration.egress.stand import Stand

TLS = 443
SPOKEN_FIRST = (TLS, 25, 465, 587, 5432)  # who comes here does not begin with a request
DEAD = 9
PORTS = (80, TLS, 8000, 8080, 22, 25, 465, 587, 6379, 5432, 3306, 9200, 11211, 27017)


class World:
    """The listeners, the name server and a client."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        self.names: Names
        self._transports: dict[tuple[str, ...], Transport] = {}

    async def start(self) -> None:
        """Listen wherever anybody could connect to."""
        self.names = await serve_names()
        for port in PORTS:
            listener = socket.socket(socket.AF_INET6 if namespace.has_v6() else socket.AF_INET)
            if listener.family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind(("", port))
            await asyncio.start_server(self._connected, sock=listener)

        self._dead = _nobody_answers()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("sockname")[:2]
        self.hits.append(f"{address.removeprefix('::ffff:')} {port}")
        if port in SPOKEN_FIRST:  # that they came is all there is to know
            writer.close()
            return
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(public_answer(head.split(b" ", 2)[1].decode("latin-1")))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """What becomes of one question."""
        self.names.put(question.get("names", {}))
        self.hits.clear()
        stand = Stand(self._transport(tuple(question.get("allow", ()))))
        outcomes = []
        for _ in range(question.get("times", 1)):
            started = time.perf_counter()
            outcome = await SINKS[question["sink"]](stand, question["url"])
            outcomes.append(_shown(outcome, time.perf_counter() - started))
        return {"outcomes": outcomes, "hits": list(self.hits), "asked": self.names.asked}

    def _transport(self, allow: tuple[str, ...]) -> Transport:
        """The transport of an operator who allows this; no connection outlives its answer here."""
        if allow not in self._transports:
            self._transports[allow] = Transport(guard=EgressGuard(allow, own=OwnMachine(ports=(8000,))))
        return self._transports[allow]


def _nobody_answers() -> list[socket.socket]:
    """A port where connections are neither taken nor refused: its queue is full already."""
    listener = socket.create_server(("", DEAD), backlog=0)
    waiting = []
    for _ in range(4):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", DEAD))
        waiting.append(one)
    return [listener, *waiting]


def _shown(outcome: Any, seconds: float) -> dict[str, Any]:
    fields = {name: getattr(outcome, name, None) for name in ("code", "message", "sent", "http_status")}
    error_class = getattr(outcome, "error_class", None)
    return {"kind": type(outcome).__name__, "class": error_class and str(error_class), "seconds": seconds, **fields}


def _say(value: Any) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def _serve() -> None:
    world = World()
    await world.start()
    _say({"v6": namespace.has_v6()})
    reader = asyncio.StreamReader(limit=2**20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        _say(await world.answer(json.loads(line)))


def main() -> None:
    """Enter the network, then answer questions until there are no more."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            namespace.enter(Path(folder), nameserver="127.0.0.1", search="corp.example")
        except OSError as error:
            _say({"impossible": str(error)})
            return
        asyncio.run(_serve())


if __name__ == "__main__":
    main()
