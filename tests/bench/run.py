"""The whole measurement, in order: the stand itself, the limit, then the service from start to stop."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import orjson
import psutil

from tests.bench.load import Plan, generate
from tests.bench.service import Service, Start, temporary
from tests.bench.stand import BODIES, Measured, Stub, ceiling, measure, running
from tests.bench.usage import Usage, instance, usage
from tests.facts import TooLate, until

Say = Callable[[str], None]
CLIENTS: Final = (16, 64)
RATE: Final = 20.0
_live_limit_s: Final = 120.0
_settling_s: Final = 8.0
_first_s: Final = 2.0
_busy_clients: Final = 8


@dataclass(frozen=True, slots=True)
class Size:
    """How long and how much."""

    seconds: float = 20.0
    limit_seconds: float = 8.0
    crons: int = 10_000
    warm: bool = True


SHORT: Final = Size(seconds=3.0, limit_seconds=2.0, crons=200, warm=False)


@dataclass(frozen=True, slots=True)
class Crons:
    """Many scheduled tasks: seconds to create them enabled, then until all were watched, and the memory after that.

    `live_after_s` is infinite when they were not all watched in time; `refused` counts creations without a 2xx.
    """

    count: int
    refused: int
    created_s: float
    live_after_s: float
    before: Usage
    after: Usage


@dataclass(slots=True)
class Results:
    """Everything that was measured; `first` is the first moment after a start, `closed` is by number of clients."""

    size: Size
    began_at: datetime
    ceiling: float = 0.0
    limit: dict[int, Measured] = field(default_factory=dict)
    starts: list[Start] = field(default_factory=list)
    idle: Usage | None = None
    first: Measured | None = None
    open: Measured | None = None
    closed: dict[int, Measured] = field(default_factory=dict)
    crons: Crons | None = None
    stop_s: float = 0.0

    @property
    def pipelines(self) -> list[Measured]:
        """Every measurement of the service."""
        return [one for one in (self.first, self.open, *self.closed.values()) if one is not None]


async def bench(size: Size, say: Say = lambda _: None) -> Results:
    """Measure everything; `say` is told what happens now."""
    results = Results(size, datetime.now(UTC))
    with running("tests.bench.receiver") as receiver:
        say("The stand alone")
        results.ceiling = await ceiling(receiver, seconds=size.limit_seconds)
        await _measure_limit(results, receiver, say)
        with temporary(receiver) as service:
            await _measure_service(results, service, receiver, say)
    return results


async def _measure_limit(results: Results, receiver: Stub, say: Say) -> None:
    with running("tests.bench.bare", receiver.url) as bare:
        process = psutil.Process(bare.pid)
        for clients in CLIENTS:
            say(f"A bare asyncio program that keeps nothing, {clients} clients")
            plan = Plan(bare.url + "/hooks/bare", BODIES, clients, results.size.limit_seconds)
            results.limit[clients] = await measure(plan, receiver, lambda: usage([process]))


async def _measure_service(results: Results, service: Service, receiver: Stub, say: Say) -> None:
    size = results.size
    say("First start, on an empty data directory")
    results.starts.append(service.start())
    service.create_account()
    hook = service.create_pipeline(receiver)
    if size.warm:
        say("Stop, and start again")
        service.stop()
        results.starts.append(service.start())
    await asyncio.sleep(_settling_s)
    results.idle = usage(instance(service.data_dir), memory=True)

    def look() -> Usage:
        return usage(instance(service.data_dir))

    say("The first runs")
    results.first = await measure(Plan(hook, BODIES, 1, _first_s, rate=RATE), receiver, look)
    say(f"{RATE:.0f} runs a second, for {size.seconds:.0f} s")
    results.open = await measure(Plan(hook, BODIES, 16, size.seconds, rate=RATE), receiver, look)
    for clients in CLIENTS:
        say(f"{clients} clients, as fast as they are answered, for {size.seconds:.0f} s")
        results.closed[clients] = await measure(Plan(hook, BODIES, clients, size.seconds), receiver, look)
    say(f"{size.crons:,} tasks with a schedule")
    results.crons = await _measure_crons(size.crons, service, receiver)
    say("Stop")
    results.stop_s = service.stop()


async def _measure_crons(count: int, service: Service, receiver: Stub) -> Crons:
    already = service.figure("watchers")
    before = usage(instance(service.data_dir), memory=True)
    plan = Plan(
        f"{service.url}/api/v1/tasks",
        tuple(_cron_tasks(receiver)),
        clients=_busy_clients,
        count=count,
        headers={"authorization": f"Bearer {service.api_key}"},
        id_field="id",
    )
    sent = await generate(plan)
    began = time.monotonic()
    try:
        wanted = already + len(sent.accepted)
        await until(lambda: service.figure("watchers") >= wanted, _live_limit_s, "every watcher", again_s=0.2)
        live_after_s = time.monotonic() - began
    except TooLate:
        live_after_s = float("inf")
    await asyncio.sleep(_settling_s)
    created_s = (sent.ended - sent.began) / 1e9
    after = usage(instance(service.data_dir), memory=True)
    return Crons(count, count - len(sent.accepted), created_s, live_after_s, before, after)


def _cron_tasks(receiver: Stub) -> list[str]:
    """Definitions that fall due at every minute of a day, none of them within hours of now."""
    hours = [(datetime.now(UTC).hour + offset) % 24 for offset in range(6, 18)]
    return [
        orjson.dumps(
            {
                "name": "Scheduled %d",
                "trigger": {
                    "capability": "system.schedule.cron",
                    "params": {"cron": f"{minute} {hour} * * *", "timezone": "UTC"},
                },
                "actions": [
                    {"capability": "http.request", "params": {"url": f"{receiver.url}/cron?n=%d", "method": "POST"}}
                ],
            }
        ).decode()
        for hour in hours
        for minute in range(60)
    ]
