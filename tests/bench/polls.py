"""What polling costs: `python -m tests.bench.polls` prints the processor time of 1,000 polls a minute.

A service with 200 tasks, each polling a list of the stub receiver every 12 seconds, for a minute; before that the same
service with the tasks switched off, and beside it a bare loop that makes the same requests with aiohttp alone.
Polls minus idle minus HTTP is the cost of polling itself; the limit is 15 % of one core.
"""

import argparse
import asyncio
import time
from typing import Final

import aiohttp
import psutil

from taske_ray import Taske, action, task
from taske_ray.sdk.authoring import poll
from tests.bench.service import Service, temporary
from tests.bench.stand import Stub, running
from tests.bench.usage import instance, usage

LIMIT: Final = 0.15
EVERY_S: Final = 12


def spent(service: Service, seconds: float) -> float:
    """Seconds of processor time that the instance uses in so many seconds of wall time, for each of them."""
    processes = instance(service.data_dir)
    before = usage(processes)
    time.sleep(seconds)
    after = usage(processes)
    return sum(after.cpu_since(before).values()) / (after.at_s - before.at_s)


async def bare(receiver: Stub, requests: int) -> float:
    """Seconds of processor time of this process for one GET."""
    me = psutil.Process()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=20)) as session:
        before = me.cpu_times()
        for _ in range(requests):
            async with session.get(f"{receiver.url}/count") as answer:
                await answer.json(content_type=None)
        after = me.cpu_times()
    return (after.user + after.system - before.user - before.system) / requests


def main() -> None:
    """Measure and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=60.0)
    arguments.add_argument("--tasks", type=int, default=200)
    chosen = arguments.parse_args()
    with running("tests.bench.receiver") as receiver, temporary(receiver) as service:
        service.start()
        service.create_account()
        with Taske(service.url, service.api_key) as taske:
            step = action("system.delay", **{"for": "PT1S"})
            trigger = poll(f"{receiver.url}/count", every=f"PT{EVERY_S}S", key="keys")
            tasks = [
                taske.tasks.create(task(f"Poll {number}", enabled=False).when(trigger).then(step))
                for number in range(chosen.tasks)
            ]
            idle = spent(service, chosen.seconds / 2)
            for one in tasks:
                taske.tasks.enable(one.id)
            busy = spent(service, chosen.seconds)
        per_minute = chosen.tasks * 60 / EVERY_S
        http = asyncio.run(bare(receiver, 2000)) * per_minute / 60
    own = (busy - idle - http) * 1000 / per_minute
    print("| figure | share of one core |\n|---|---:|")  # noqa: T201 - what the command is for
    for name, share in (("idle", idle), (f"{per_minute:.0f} polls a minute", busy), ("their HTTP, bare", http)):
        print(f"| {name} | {share:.3f} |")  # noqa: T201
    print(f"| 1,000 polls a minute beside idle and HTTP | {own:.3f}, {own / LIMIT:.2f} of the limit |")  # noqa: T201


if __name__ == "__main__":
    main()
