"""Restarts under load that nobody may notice but by waiting: hosts one after another, all by drain, all by kill -9."""

import random
import threading

import pytest

from tests.bench.service import temporary
from tests.bench.stand import Stub
from tests.cluster.receiver import Answer
from tests.faults.load import under_load
from tests.faults.oracle import STEPS
from tests.faults.saboteur import Saboteur
from tests.faults.stand import Stand

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400, func_only=True)]

HOSTS = ("RunHost", "WatcherHost", "IntegrationClient")
DRAINED_S = 30
SLOW_S = 16
BACK_S = 60


@pytest.fixture(scope="module")
def own_service(receiver):
    """A service that may be stopped."""
    with temporary(Stub(0, receiver.port), TASKE_RUN_HOSTS="2") as found:
        found.start()
        found.create_account()
        yield found


@pytest.fixture
def own(own_service, receiver):
    """That service, whole, for one test."""
    with Stand(own_service, receiver) as found:
        found.whole()
        yield found


def each_step_once(stand):
    """No call was cut off, and none was made twice."""
    assert all(stand.count(event, step) == 1 for event in stand.offered for step in STEPS)
    states = {one.status for run in stand.runs() for step in run.attempts.values() for one in step}
    assert "unknown" not in states


def test_hosts_start_anew_one_after_another(own, tmp_path):
    """`taske restart`: every process is another one afterwards; senders notice nothing, no call of 16 s is cut off."""
    saboteur = Saboteur(own.service.data_dir, random.Random(1))

    def hosts():
        return {process.pid for kind in HOSTS for process in saboteur.find(kind)}

    before = hosts()

    def roll():
        own.service.command("restart")
        own.until(lambda: "Started anew: " in own.service.log.read_text(), 200, "starting the hosts anew")
        own.whole()

    sender = under_load(own, tmp_path, roll, answers={2: [Answer(after_s=SLOW_S)]})
    assert len(before) == len(hosts())
    assert not before & hosts()
    assert set(sender.answers) == {202}, sender.answers
    each_step_once(own)


def test_a_drain_under_load_cuts_nothing_off(own, tmp_path, receiver):
    """Stopped within 30 s with calls in flight, and started again: these end, what waits goes on, nothing repeats."""
    gate = receiver.gate()

    def drain():
        threading.Timer(3, gate.open).start()  # calls in flight end while it drains
        assert own.service.stop() < DRAINED_S
        own.service.start()

    under_load(own, tmp_path, drain, answers={2: [Answer(gate=gate)]})
    each_step_once(own)


def test_a_killed_launcher_is_started_again(own, tmp_path):
    """`kill -9` of `taske up`, and `taske up` again at once: what is left is ended, and all goes on within a minute."""

    def kill():
        own.service.kill()
        own.service.start()

    assert under_load(own, tmp_path, kill).longest_silence_s < BACK_S
