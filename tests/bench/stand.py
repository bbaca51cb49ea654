"""The test stand: the programs around the service, each in a process of its own, and one measurement of a pipeline."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import psutil

from tests.bench.ledger import Ledger, Verdict, judge
from tests.bench.load import ROOT, Plan, Sent, generate
from tests.bench.usage import Usage

BODIES: Final = ('{"n":%d}',)
_quiet_s: Final = 20.0
_look_s: Final = 0.05
_afterwards_s: Final = 1.0
"""Long enough for a duplicate that follows to be seen."""


@dataclass(frozen=True, slots=True)
class Stub:
    """A program of the stand that listens on a port."""

    pid: int
    port: int

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def running(module: str, *args: str) -> Iterator[Stub]:
    """Run one of the stand's programs, and end it."""
    process = subprocess.Popen([sys.executable, "-m", module, *args], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        yield Stub(process.pid, int(line.removeprefix("listening on ")))
    finally:
        process.terminate()
        process.wait()


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time of one measurement, in seconds: the service's by kind of process, the stand's, everything's.

    `elapsed_s` is the wall time over which it was spent.
    """

    service: Mapping[str, float]
    stand: float
    machine: float
    elapsed_s: float

    @property
    def others(self) -> float:
        """What programs that are no part of the measurement took meanwhile."""
        return max(0.0, self.machine - self.stand - sum(self.service.values()))


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of a pipeline: what was sent, what came of it, what it cost."""

    sent: Sent
    verdict: Verdict
    cost: Cost

    @property
    def runs_per_second(self) -> float:
        """Finished runs per second, from the first webhook to the last run's second request: the backlog counts."""
        return len(self.verdict.finished) * 1e9 / max(1, self.verdict.last - self.sent.began)

    @property
    def seconds(self) -> float:
        """From the first webhook to the end of the last run."""
        return max(0, self.verdict.last - self.sent.began) / 1e9

    @property
    def backlog_s(self) -> float:
        """How long after the last webhook the last run was finished."""
        return max(0.0, (self.verdict.last - self.sent.ended) / 1e9)

    def end_to_end_ms(self, percent: float) -> float:
        """That percentile of the time from a webhook (as planned) to its run's second request."""
        accepted = self.sent.accepted
        return percentile([(at - accepted[run][0]) / 1e6 for run, at in self.verdict.finished.items()], percent)

    def answer_ms(self, percent: float) -> float:
        """That percentile of the time from a webhook to its 202."""
        return percentile([(answered - at) / 1e6 for at, answered in self.sent.accepted.values()], percent)


async def measure(plan: Plan, receiver: Stub, look: Callable[[], Usage]) -> Measured:
    """Send by the plan, wait until the receiver has seen everything, or nothing new for a while, and judge.

    `look` tells what the pipeline has used so far.
    """
    ledger, stand = Ledger(receiver.port), [psutil.Process(receiver.pid), psutil.Process()]
    first, keys, stand_s, before = ledger.count(), ledger.keys(), _cpu_s(stand), look()
    sent = await generate(plan)
    await _settle(ledger, keys + 2 * len(sent.accepted))
    after = look()
    cost = Cost(
        service=after.cpu_since(before),
        stand=sent.cpu_s + _cpu_s(stand) - stand_s,
        machine=after.machine_s - before.machine_s,
        elapsed_s=after.at_s - before.at_s,
    )
    await asyncio.sleep(_afterwards_s)
    return Measured(sent, judge(sent.accepted, ledger.since(first), first_receipt=first), cost)


async def ceiling(receiver: Stub, *, seconds: float, clients: int = 64) -> float:
    """Requests per second that the load generator and the receiver reach with nothing between them."""
    headers = {"idempotency-key": "ceiling"}
    sent = await generate(
        Plan(receiver.url + "/ceiling", BODIES, clients, seconds, headers=headers, id_field="receipt")
    )
    return sent.per_second


async def _settle(ledger: Ledger, wanted: int) -> None:
    loop = asyncio.get_running_loop()
    seen, changed_at = ledger.keys(), loop.time()
    while seen < wanted and loop.time() - changed_at < _quiet_s:
        await asyncio.sleep(_look_s)
        before, seen = seen, ledger.keys()
        changed_at = loop.time() if seen != before else changed_at


def percentile(values: list[float], percent: float) -> float:
    """The value that so many percent of all do not exceed; NaN of none."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))
