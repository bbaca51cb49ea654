"""What the egress guard costs: `python -m tests.bench.guard` prints calls a second with and without it.

Both make the same calls through the same client against the stub receiver, in turns. Without the guard means aiohttp as
it comes: no check of URL, host and header, no resolver and socket of ours, no capped body. The bound (5 % of the
bench's runs a second) is held against the processor time of a whole run, which is what limits the rate.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import aiohttp

from taske_ray.catalog.registry import load_modules
from taske_ray.clock import SystemClock
from taske_ray.core.call import Call
from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.outcome import Succeeded
from taske_ray.integrations.client import IntegrationClient
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.own import OwnMachine
from taske_ray.integrations.transport import Transport
from tests.integration.egress.stand import NOW
from tests.unit.integrations.memory_tokens import USER

BOUND = 0.05
CALLS_OF_A_RUN = 2


class Bare:
    """The library as it comes, with the same number of connections."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(
        self,
        request: HttpRequest,
        *,
        timeout_s: float,
        careful: bool = False,
        may_send: Callable[[], bool] = lambda: True,
    ) -> HttpResponse:
        """One exchange."""
        del careful
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=400))
        async with (
            asyncio.timeout(timeout_s),
            self._session.request(request.method, request.url, headers=request.headers, data=request.body) as response,
        ):
            body = await response.read()
        assert may_send()
        return HttpResponse(response.status, dict(response.headers), body, request.url)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()


class Catalog:
    """`http.request`, without a connection."""

    async def pinned(self, capability: str, _version: int) -> Any:
        """The capability of the catalog."""
        return load_modules()["http"].capabilities[capability]


def _client(transport: Any) -> IntegrationClient:
    nothing: Any = None
    catalog: Any = Catalog()
    return IntegrationClient(
        capabilities=catalog,
        connections=nothing,
        tokens=nothing,
        transport=transport,
        clock=SystemClock(),
        database_time=time.time,
    )


async def _round(client: IntegrationClient, port: int, calls: int, at_once: int) -> tuple[float, float]:
    """Calls a second, and microseconds of this process for each."""
    params = {"method": "POST", "url": f"http://127.0.0.1:{port}/first", "body": {"a": 1}, "encoding": "json"}
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            call = Call(uuid4().hex, USER, "http.request", 1, params, NOW, idempotency_key=uuid4().hex)
            outcome = await client.perform(call)
            assert isinstance(outcome, Succeeded), outcome
            client.acknowledge([call.id])

    started, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(worker() for _ in range(at_once)))
    return calls / (time.perf_counter() - started), (time.process_time() - used) / calls * 1e6


async def measure(port: int, *, calls: int, rounds: int, at_once: int) -> dict[str, tuple[float, float]]:
    """Medians of calls a second and of microseconds, with and without the guard, taken in turns."""
    guard = EgressGuard([f"127.0.0.1:{port}"], own=OwnMachine(ports=(8000,)))
    clients = {"with": _client(Transport(guard=guard)), "without": _client(Bare())}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in clients}
    for number in range(rounds + 1):
        for name, client in clients.items():
            figures = await _round(client, port, calls, at_once)
            if number:  # the first round opens connections and warms caches
                found[name].append(figures)
    for client in clients.values():
        await client.close()
    return {
        name: (statistics.median(rate for rate, _ in each), statistics.median(cost for _, cost in each))
        for name, each in found.items()
    }


@contextmanager
def receiving() -> Any:
    """The port of a stub receiver in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.receiver"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline().rpartition(" ")[2])
        finally:
            process.terminate()


def main() -> int:
    """Measure and print; 0 when the bound is kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.guard", description=__doc__)
    parser.add_argument("--calls", type=int, default=3000, help="in each round")
    parser.add_argument("--rounds", type=int, default=7, help="of each kind")
    parser.add_argument("--run-ms", type=float, default=3.9, help="processor time of a run (make bench prints it)")
    chosen = parser.parse_args()
    with receiving() as port:
        found = asyncio.run(measure(port, calls=chosen.calls, rounds=chosen.rounds, at_once=32))
    for name, (rate, cost) in found.items():
        sys.stdout.write(f"{name:>8} the guard: {rate:6.0f} calls/s, {cost:4.0f} µs of processor time a call\n")
    share = CALLS_OF_A_RUN * (found["with"][1] - found["without"][1]) / (chosen.run_ms * 1000)
    text = f"the guard costs {share:.1%} of the {chosen.run_ms} ms of a run with two calls; the bound is {BOUND:.0%}\n"
    sys.stdout.write(text)
    return share > BOUND


if __name__ == "__main__":
    sys.exit(main())
