"""Memory under overload (durability, 12.2): `python -m tests.bench.overload` floods one hook and prints what it costs.

A thousand deliveries a second, which no two processors carry, against a service of its own in the default profile; the
memory of all its processes before, every half minute of the flood, and when every accepted run has ended. Between the
second half minute and the last one it must not grow: what cannot be kept is refused, and no queue gets longer.
"""

import argparse
import asyncio
import sys
import time
from typing import Final

from tests.bench.load import Plan, Sent, generate
from tests.bench.service import Service, temporary
from tests.bench.stand import BODIES, Stub, running
from tests.bench.usage import instance, usage
from tests.facts import until

RATE: Final = 1000.0
EVERY_S: Final = 30.0
GROWTH_MIB: Final = 100.0
"""What caches of a fixed size and PostgreSQL's buffers may still take once the flood has begun."""


def say(line: str) -> None:
    """A line for whoever waits."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def memory(service: Service) -> float:
    """MiB of all processes of the instance."""
    return usage(instance(service.data_dir), memory=True).total_mib


async def flooded(service: Service, hook: str, seconds: float) -> tuple[Sent, list[float]]:
    """What the senders heard, and the memory every `EVERY_S` seconds meanwhile."""
    began, sizes = time.monotonic(), []
    flood = asyncio.create_task(generate(Plan(hook, BODIES, clients=64, seconds=seconds, rate=RATE)))
    while not flood.done():
        await asyncio.wait([flood], timeout=EVERY_S)
        sizes.append(await asyncio.to_thread(memory, service))
        say(f"{time.monotonic() - began:5.0f} s  {sizes[-1]:7.0f} MB")
    return await flood, sizes


async def measured(service: Service, receiver: Stub, seconds: float) -> bool:
    """Print everything; whether the memory stayed."""
    hook = service.create_pipeline(receiver)
    say(f" idle  {memory(service):7.0f} MB")
    sent, sizes = await flooded(service, hook, seconds)
    await until(lambda: service.figure("live_runs") == 0, 300, "the end of every run", again_s=1.0)
    say(f"after  {memory(service):7.0f} MB")
    growth = max(sizes[1:], default=0.0) - sizes[min(1, len(sizes) - 1)]
    say(f"answers {dict(sorted(sent.statuses.items()))}, {sent.broken} broken")
    say(f"growth under overload {growth:.0f} MB, limit {GROWTH_MIB:.0f} MB")
    return growth <= GROWTH_MIB and not sent.broken


def main() -> None:
    """Measure; the exit code says whether the memory stayed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=600.0)
    chosen = arguments.parse_args()
    with running("tests.bench.receiver") as receiver, temporary(receiver) as service:
        service.start()
        service.create_account()
        held = asyncio.run(measured(service, receiver, chosen.seconds))
    raise SystemExit(0 if held else 1)


if __name__ == "__main__":
    main()
