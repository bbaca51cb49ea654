"""The load generator: many keep-alive connections from one process of its own.

`python -m tests.bench.load FILE` reads a `Plan` as JSON from its input and writes what happened as JSON to the file.
Closed loop: each client sends the next request when the last one is answered. Open loop: requests start at fixed
instants whatever the answers do, and their latency counts from the instant, not from a late start.
"""

import asyncio
import itertools
import sys
import tempfile
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import orjson
import uvloop

from tests.bench.wire import Message, Reader, request

ROOT: Final = Path(__file__).parents[2]
_busy = (429, 503)
_patience_s = 0.25
_last_answers_s = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. `bodies` are taken in turn: JSON texts in which `%d` is the number of the request.

    Ends after `seconds` or after `count` requests, whichever comes first; `rate` (per second) makes the loop open.
    `id_field` names the field of the answer by which an accepted request is known later.
    """

    url: str
    bodies: tuple[str, ...]
    clients: int
    seconds: float = 3600.0
    count: int | None = None
    rate: float | None = None
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)
    id_field: str = "run_id"


@dataclass(frozen=True, slots=True)
class Sent:
    """What happened: `accepted` maps ids to when their request was sent and answered (monotonic nanoseconds).

    `statuses` counts the answers; `broken` counts requests whose connection ended without one; `cpu_s` is what sending
    cost.
    """

    accepted: dict[str, tuple[int, int]]
    statuses: dict[int, int]
    broken: int
    began: int
    ended: int
    cpu_s: float

    @property
    def per_second(self) -> float:
        """Accepted requests per second, over the time in which they were sent."""
        return len(self.accepted) * 1e9 / max(1, self.ended - self.began)


class Client(asyncio.Protocol):
    """One connection with one request on its way at a time."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._answer: asyncio.Future[Message] | None = None
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready to send."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by class
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        """The answer, or a part of it."""
        for message in self._reader.feed(data):
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody answers any more."""
        self.is_open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError())

    async def ask(self, data: bytes) -> Message:
        """Send and wait for the answer; raises OSError when the connection breaks."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(data)
        return await self._answer


class Load:
    """Carries out a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._place = urlsplit(plan.url)
        self._numbers = itertools.count()
        self._accepted: dict[str, tuple[int, int]] = {}
        self._statuses: Counter[int] = Counter()
        self._broken = 0

    async def run(self) -> Sent:
        """Send everything and wait for the last answers."""
        idle = deque([await self._connect() for _ in range(self._plan.clients)])
        cpu_s = time.process_time()
        self._began = time.monotonic_ns()
        self._until = self._began + int(self._plan.seconds * 1e9)
        await (self._closed(idle) if self._plan.rate is None else self._open(idle, self._plan.rate))
        return Sent(
            accepted=self._accepted,
            statuses=dict(self._statuses),
            broken=self._broken,
            began=self._began,
            ended=time.monotonic_ns(),
            cpu_s=time.process_time() - cpu_s,
        )

    async def _closed(self, idle: deque[Client]) -> None:
        async with asyncio.TaskGroup() as clients:
            for client in idle:
                clients.create_task(self._loop(client))

    async def _loop(self, client: Client) -> None:
        while time.monotonic_ns() < self._until and (number := self._next()) is not None:
            if not client.is_open:
                client = await self._connect()
            if await self._one(client, number, time.monotonic_ns()) in _busy:
                await asyncio.sleep(_patience_s)

    async def _open(self, idle: deque[Client], rate: float) -> None:
        on_their_way: set[asyncio.Task[None]] = set()
        while (at := self._began + int(len(on_their_way) / rate * 1e9)) < self._until:
            if (number := self._next()) is None:
                break
            await asyncio.sleep(max(0.0, (at - time.monotonic_ns()) / 1e9))
            on_their_way.add(asyncio.create_task(self._single(idle, number, at)))
        if on_their_way:
            await asyncio.wait(on_their_way, timeout=_last_answers_s)

    async def _single(self, idle: deque[Client], number: int, at: int) -> None:
        client = idle.popleft() if idle else await self._connect()
        if not client.is_open:
            client = await self._connect()
        await self._one(client, number, at)
        idle.append(client)

    def _next(self) -> int | None:
        number = next(self._numbers)
        return None if self._plan.count is not None and number >= self._plan.count else number

    async def _one(self, client: Client, number: int, at: int) -> int:
        bodies = self._plan.bodies
        body = bodies[number % len(bodies)].replace("%d", str(number)).encode()
        data = request(self._plan.method, self._place.path, self._place.netloc, body, self._plan.headers)
        try:
            answer = await client.ask(data)
        except OSError:
            self._broken += 1
            return 0
        self._statuses[answer.status] += 1
        if answer.status < 300:
            key = str(orjson.loads(answer.body).get(self._plan.id_field, number))
            self._accepted[key] = (at, time.monotonic_ns())
        return answer.status

    async def _connect(self) -> Client:
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(Client, self._place.hostname or "", self._place.port or 80)
        return client


async def generate(plan: Plan) -> Sent:
    """Carry the plan out in a process of its own."""
    with tempfile.NamedTemporaryFile() as file:  # what happened can be megabytes: too much for a pipe under load
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.load", file.name, stdin=asyncio.subprocess.PIPE, cwd=ROOT
        )
        await process.communicate(orjson.dumps(plan))
        if process.returncode:
            raise RuntimeError(f"the load generator ended with {process.returncode}")
        told: dict[str, Any] = orjson.loads(file.read())
    return Sent(**{**told, "statuses": {int(status): count for status, count in told["statuses"].items()}})


if __name__ == "__main__":
    happened = uvloop.run(Load(Plan(**orjson.loads(sys.stdin.buffer.read()))).run())
    Path(sys.argv[1]).write_bytes(orjson.dumps(happened, option=orjson.OPT_NON_STR_KEYS))
