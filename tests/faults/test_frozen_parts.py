"""SIGSTOP of each part under load, and nobody wakes it: it is ended and replaced, and until then no sender hangs."""

import asyncio
import random
import sys
import time

import psutil
import pytest

from tests.faults.saboteur import Saboteur
from tests.faults.sender import Sender

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300, func_only=True)]

RATE = 5
WARM = 15
DATABASE_S = 20

# Which part; how long senders may be without a 2xx; how long until it is ended; both with what a busy machine needs.
PARTS = [
    ("HAProxy", 20, 15),
    ("hooks replica", 40, 40),
    ("Serve controller", 5, 35),
    ("TriggerSupervisor", 5, 35),
    ("WatcherHost", 5, 35),
    ("RunHost", 5, 35),
    ("IntegrationClient", 5, 35),
    ("GCS", 45, 35),
    ("raylet", 45, 45),
    ("runtime", 45, 35),
]


async def until(fact, within_s, what):
    """Return when the fact is true."""
    deadline = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < deadline, f"{what} took more than {within_s} s"
        await asyncio.sleep(0.1)


def is_gone(process):
    """Whether it has ended."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def scene(stand, sender, saboteur, kind, gone_s):
    """Load, freeze, wait until it is ended and until the senders are answered again; how long it took to be ended."""
    load = asyncio.create_task(sender.send(RATE, 240, last_answers_s=60))
    try:
        await until(lambda: len(sender.acknowledged) > WARM, 30, "the first answers")
        victim = max(saboteur.find(kind), key=lambda process: process.create_time())
        began = time.monotonic()
        saboteur.do(kind, "stop", victim)
        await until(lambda: is_gone(victim), gone_s, f"ending a frozen {kind}")
        took_s = time.monotonic() - began
        await asyncio.to_thread(stand.whole)
        count = len(sender.acknowledged)
        await until(lambda: len(sender.acknowledged) > count + WARM, 30, "answers after it")
    finally:
        sender.stop()
        await load
    return took_s


@pytest.fixture
def saboteur(stand):
    """What may be done to this service's processes."""
    found = Saboteur(stand.service.data_dir, random.Random(1), stop_s=600)
    yield found
    found.close()


@pytest.mark.parametrize(("kind", "silence_s", "gone_s"), PARTS, ids=[kind for kind, *_ in PARTS])
def test_a_frozen_part_is_replaced(stand, saboteur, tmp_path, kind, silence_s, gone_s):
    """Each delivery is answered, refused or broken in seconds; what was acknowledged runs, within 45 s of the fault."""
    hook = stand.hook()
    sender = Sender(f"{stand.service.url}{hook}", tmp_path / "acknowledged", random.Random(1))
    took_s = asyncio.run(scene(stand, sender, saboteur, kind, gone_s))
    stand.offered, stand.acknowledged = sender.offered, sender.acknowledged
    figures = f"{kind}: ended after {took_s:.1f} s, without a 2xx for {sender.longest_silence_s:.1f} s"
    sys.stdout.write(f"{figures}, {dict(sender.answers)}\n")
    assert sender.answers["hang"] == 0, sender.answers
    assert sender.longest_silence_s < silence_s
    stand.until(lambda: all(run.status == "succeeded" for run in stand.runs()), 60, "every run's end")
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong
    assert verdict.unexplained == 0
