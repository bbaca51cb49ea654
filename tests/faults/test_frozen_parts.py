"""SIGSTOP of each part under load, and nobody wakes it: it is ended and replaced, and until then no sender hangs."""

import random
import sys
import time

import psutil
import pytest

from tests.faults.load import under_load
from tests.faults.saboteur import Saboteur

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300, func_only=True)]

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


@pytest.fixture
def saboteur(stand):
    """What may be done to this service's processes; nothing wakes up by itself."""
    found = Saboteur(stand.service.data_dir, random.Random(1), stop_s=600)
    yield found
    found.close()


def is_gone(process):
    """Whether it has ended."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def frozen(stand, saboteur, folder, kind, gone_s, *, killed=None):
    """Freeze a part, and kill all of `killed`, under load until it was ended and all is whole; the sender."""
    took_s = 0.0

    def freeze():
        nonlocal took_s
        victim = max(saboteur.find(kind), key=lambda process: process.create_time())
        began = time.monotonic()
        saboteur.do(kind, "stop", victim)
        for other in saboteur.find(killed) if killed else ():
            saboteur.do(killed, "kill", other)
        stand.until(lambda: is_gone(victim), gone_s, f"ending a frozen {kind}")
        took_s = time.monotonic() - began
        stand.whole()

    sender = under_load(stand, folder, freeze)
    figures = f"{kind}: ended after {took_s:.1f} s, without a 2xx for {sender.longest_silence_s:.1f} s"
    sys.stdout.write(f"{figures}, {dict(sender.answers)}\n")
    return sender


@pytest.mark.parametrize(("kind", "silence_s", "gone_s"), PARTS, ids=[kind for kind, *_ in PARTS])
def test_a_frozen_part_is_replaced(stand, saboteur, tmp_path, kind, silence_s, gone_s):
    """Each delivery is answered, refused or broken in seconds; what was acknowledged runs."""
    assert frozen(stand, saboteur, tmp_path, kind, gone_s).longest_silence_s < silence_s


@pytest.mark.parametrize("kind", ["WatcherHost", "RunHost", "IntegrationClient"])
def test_a_new_supervisor_ends_a_host_that_hung_before_its_time(stand, saboteur, tmp_path, kind):
    """It has never heard of the host's process: it finds it by the id and the start time that the host registered."""
    frozen(stand, saboteur, tmp_path, kind, 30, killed="TriggerSupervisor")
