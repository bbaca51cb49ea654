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
    ("HAProxy", 20, 12),
    ("hooks replica", 20, 12),
    ("Serve controller", 5, 20),
    ("TriggerSupervisor", 5, 20),
    ("WatcherHost", 5, 20),
    ("RunHost", 5, 20),
    ("IntegrationClient", 5, 20),
    ("nursery", 5, 20),
    ("GCS", 45, 30),
    ("raylet", 45, 30),
    ("runtime", 45, 30),
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


async def scene(stand, sender, saboteur, kind, gone_s, *, killed=None):
    """Load, freeze, wait until it is ended and until the senders are answered again; how long it took to be ended.

    `killed` is what is killed at the same time.
    """
    load = asyncio.create_task(sender.send(RATE, 240, last_answers_s=60))
    try:
        await until(lambda: len(sender.acknowledged) > WARM, 30, "the first answers")
        victim = max(saboteur.find(kind), key=lambda process: process.create_time())
        began = time.monotonic()
        saboteur.do(kind, "stop", victim)
        for other in saboteur.find(killed) if killed else ():
            saboteur.do(killed, "kill", other)
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


def tried(stand, saboteur, tmp_path, kind, gone_s, **options):
    """The sender, after a scene whose deliveries were all judged: none hung, and what was acknowledged has run."""
    sender = Sender(f"{stand.service.url}{stand.hook()}", tmp_path / "acknowledged", random.Random(1))
    took_s = asyncio.run(scene(stand, sender, saboteur, kind, gone_s, **options))
    stand.offered, stand.acknowledged = sender.offered, sender.acknowledged
    figures = f"{kind}: ended after {took_s:.1f} s, without a 2xx for {sender.longest_silence_s:.1f} s"
    sys.stdout.write(f"{figures}, {dict(sender.answers)}\n")
    assert sender.answers["hang"] == 0, sender.answers
    stand.until(lambda: all(run.status == "succeeded" for run in stand.runs()), 60, "every run's end")
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong
    assert verdict.unexplained == 0
    return sender


@pytest.mark.parametrize(("kind", "silence_s", "gone_s"), PARTS, ids=[kind for kind, *_ in PARTS])
def test_a_frozen_part_is_replaced(stand, saboteur, tmp_path, kind, silence_s, gone_s):
    """Each delivery is answered, refused or broken in seconds; what was acknowledged runs."""
    assert tried(stand, saboteur, tmp_path, kind, gone_s).longest_silence_s < silence_s


@pytest.mark.parametrize("kind", ["WatcherHost", "RunHost", "IntegrationClient"])
def test_a_new_supervisor_ends_a_host_that_hung_before_its_time(stand, saboteur, tmp_path, kind):
    """It has never heard of the host's process: it finds it by the id and the start time that the host registered."""
    tried(stand, saboteur, tmp_path, kind, 30, killed="TriggerSupervisor")
