"""A million runs that sleep: `python -m tests.bench.sleeping` prints what they cost beside an empty service.

One run is made to wait for a month through the API; it is copied in the database, with its step, until there are a
million: half of them of its own user, half of a thousand others. Before and after: the memory of all processes, a warm
start, idle processor time, and the rate of a pipeline that runs beside them. Then a thousand waits end within seconds;
how late they are counts from the end of each wait to the arrival of the next step's request.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql

from taske_ray import Taske, action, task, webhook
from taske_ray.core.ids import parse_id
from taske_ray.db.embedded import EmbeddedPostgres
from tests.bench.ledger import Ledger
from tests.bench.load import Plan, Sent, generate
from tests.bench.overload import memory, say
from tests.bench.polls import spent
from tests.bench.service import Service, temporary
from tests.bench.stand import BODIES, Stub, measure, percentile, running
from tests.bench.usage import Usage, instance, usage
from tests.facts import until

USERS: Final = 1_000
WAKING: Final = 1_000
WAIT_S: Final = 20
CLIENTS: Final = 16
_settling_s: Final = 10.0
_portion: Final = 50_000


@dataclass(frozen=True, slots=True)
class State:
    """The service at one time: seconds of a warm start, MiB, share of a core when idle, runs a second."""

    start_s: float
    memory_mib: float
    idle: float
    rate: float


def sleeping_task(service: Service, receiver: Stub, wait: str) -> str:
    """The hook of a task that waits, then tells the receiver."""
    steps = (
        action("system.delay", **{"for": wait}),
        action("http.request", method="POST", url=f"{receiver.url}/woken"),
    )
    with Taske(service.url, service.api_key) as taske:
        saved = taske.tasks.create(task("Sleeps").when(webhook()).then(*steps))
    assert saved.trigger.hook_url is not None
    return f"{service.url}/hooks/{saved.trigger.hook_url.rpartition('/')[2]}"


@contextmanager
def database(service: Service) -> Iterator[psycopg.Connection[Any]]:
    """The service's database, as the one who may do everything in it."""
    url = EmbeddedPostgres(service.data_dir).admin_url.replace("/postgres?", "/taske?")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def copied(connection: psycopg.Connection[Any], run_id: str, count: int) -> None:
    """So many copies of a sleeping run and its step: of its user, and in turns of a thousand others."""
    connection.execute(
        "INSERT INTO users (id, email) SELECT uuidv7(), 'sleeper ' || n || '@example.com'"
        " FROM generate_series(1, %s) AS n",
        [USERS],
    )
    connection.execute(
        "CREATE TEMP TABLE sleepers AS SELECT row_number() OVER () AS n, id FROM users WHERE email LIKE 'sleeper %'"
    )
    statement = sql.SQL(
        "WITH copies AS MATERIALIZED (SELECT uuidv7() AS new_id, n FROM generate_series(1, %(count)s) AS n),"
        " slept AS (INSERT INTO runs ({runs}) SELECT {run_values} FROM runs o, copies c LEFT JOIN sleepers s"
        " ON c.n %% 2 = 0 AND s.n = 1 + (c.n / 2) %% %(users)s WHERE o.id = %(id)s)"
        " INSERT INTO steps ({steps}) SELECT {step_values} FROM steps o, copies c WHERE o.run_id = %(id)s"
    ).format(
        runs=_names(connection, "runs"),
        run_values=_values(
            connection, "runs", id="c.new_id", user_id="coalesce(s.id, o.user_id)", fire_key="c.new_id::text"
        ),
        steps=_names(connection, "steps"),
        step_values=_values(connection, "steps", run_id="c.new_id"),
    )
    left = count
    while left > 0:
        portion = min(left, _portion)
        connection.execute(statement, {"count": portion, "users": USERS, "id": parse_id("run", run_id)})
        left -= portion
    connection.execute("ANALYZE")


def _columns(connection: psycopg.Connection[Any], table: str) -> list[str]:
    found = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' ORDER BY attnum",
        [table],
    )
    return [name for (name,) in found]


def _names(connection: psycopg.Connection[Any], table: str) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, _columns(connection, table)))


def _values(connection: psycopg.Connection[Any], table: str, **instead: str) -> sql.Composed:
    """The row's own values, but for some."""
    return sql.SQL(", ").join(
        sql.SQL(instead[name]) if name in instead else sql.SQL("o.") + sql.Identifier(name)
        for name in _columns(connection, table)
    )


def size(connection: psycopg.Connection[Any]) -> int:
    """Bytes of the database."""
    row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


async def state(service: Service, receiver: Stub, hook: str, seconds: float) -> State:
    """Stop the service, start it again and look."""
    service.stop()
    start_s = service.start().seconds
    await asyncio.sleep(_settling_s)
    memory_mib = memory(service)
    idle = await asyncio.to_thread(spent, service, seconds)

    def look() -> Usage:
        return usage(instance(service.data_dir))

    await measure(Plan(hook, BODIES, CLIENTS, seconds / 4), receiver, look)  # warm
    rate = (await measure(Plan(hook, BODIES, CLIENTS, seconds), receiver, look)).runs_per_second
    return State(start_s, memory_mib, idle, rate)


async def lateness(receiver: Stub, hook: str) -> list[float]:
    """Seconds from the end of each of a thousand waits to the next step's request."""
    ledger = Ledger(receiver.port)
    first, keys = ledger.count(), ledger.keys()
    sent: Sent = await generate(Plan(hook, BODIES, CLIENTS, count=WAKING))
    await until(lambda: ledger.keys() >= keys + len(sent.accepted), 180, "every run that slept", again_s=0.5)
    arrived = {one.key.partition(":")[0]: one.at for one in ledger.since(first)}
    return [(arrived[run] - answered) / 1e9 - WAIT_S for run, (_, answered) in sent.accepted.items()]


async def compared(service: Service, receiver: Stub, count: int, seconds: float) -> None:
    """Measure, make them sleep, measure again, and print."""
    hook = service.create_pipeline(receiver)
    month, moments = (sleeping_task(service, receiver, wait) for wait in ("P30D", f"PT{WAIT_S}S"))
    empty = await state(service, receiver, hook, seconds)
    sent = await generate(Plan(month, BODIES, 1, count=1))
    [run_id] = sent.accepted
    await until(lambda: service.run(run_id)["status"] == "waiting", 30, "a sleeping run")
    with database(service) as connection:
        before, began = size(connection), time.monotonic()
        await asyncio.to_thread(copied, connection, run_id, count)
        bytes_each = (size(connection) - before) / count
    say(f"{count:,} runs copied in {time.monotonic() - began:.0f} s")
    full = await state(service, receiver, hook, seconds)
    late = await lateness(receiver, moments)
    say(f"| figure | without | with {count:,} sleeping runs |\n|---|---:|---:|")
    say(f"| bytes on disk for each | | {bytes_each:.0f} |")
    say(f"| warm start | {empty.start_s:.1f} s | {full.start_s:.1f} s |")
    say(f"| memory, idle | {empty.memory_mib:.0f} MB | {full.memory_mib:.0f} MB |")
    say(f"| share of a core, idle | {empty.idle:.3f} | {full.idle:.3f} |")
    ratio = full.rate / empty.rate
    say(f"| runs a second beside them, {CLIENTS} clients | {empty.rate:.0f} | {full.rate:.0f}, {ratio:.2f} of it |")
    ends = [f"{percentile(late, percent):.2f}" for percent in (50, 99, 100)]
    say(f"| {WAKING:,} waits of {WAIT_S} s: late p50 / p99 / most | | {' / '.join(ends)} s |")


def main() -> None:
    """Measure and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1_000_000)
    arguments.add_argument("--seconds", type=float, default=20.0)
    chosen = arguments.parse_args()
    with running("tests.bench.receiver") as receiver, temporary(receiver) as service:
        service.start()
        service.create_account()
        asyncio.run(compared(service, receiver, chosen.runs, chosen.seconds))


if __name__ == "__main__":
    main()
