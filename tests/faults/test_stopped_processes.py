"""SIGSTOP at a crash point (5.3, 13.4): whoever freezes there is ended, or wakes up too late and changes nothing.

For the second, what ends frozen processes is taken out of the service from outside (`sabotage`).
"""

import tempfile
from pathlib import Path

import psutil
import pytest

from tests.bench.service import temporary
from tests.bench.stand import Stub
from tests.facts import TooLate
from tests.faults.oracle import STEPS
from tests.faults.stand import Stand

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300, func_only=True)]

EVERY_SECOND = {"capability": "system.schedule.interval", "params": {"every": "PT1S"}}
SABOTAGE = Path(__file__).parent / "sabotage"
HOSTS = ["C8", "C9", "C11", "C12", "C13"]
CLIENTS = ["C9.client", "C11.client"]
WATCHERS = ["C4", "C5"]
TAKEN_OVER_S = 45
ENDED_S = 20
AWAKE_S = 10


@pytest.fixture(scope="module")
def lenient_service(receiver):
    """A service in which nobody ends what is frozen; of two watcher hosts one can take the other's schedules over."""
    with tempfile.TemporaryDirectory(prefix="taske-l-") as place:
        settings = {"SABOTAGE": "end_nobody", "PYTHONPATH": str(SABOTAGE), "TASKE_CRASH_DIR": place}
        with temporary(Stub(0, receiver.port), TASKE_RUN_HOSTS="2", TASKE_WATCHER_HOSTS="2", **settings) as service:
            service.crash_dir = Path(place)
            service.start()
            service.create_account()
            yield service


@pytest.fixture
def lenient(lenient_service, receiver):
    """That service, whole again, for one test."""
    with Stand(lenient_service, receiver) as found:
        found.whole()
        yield found
        found.disarm()


def ended(pid):
    """Whether the process has ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def nothing_more_arrives(stand):
    """The ledger's length stays what it is for as long as a woken process needs to do harm."""
    before = len(stand.receiver.received)
    with pytest.raises(TooLate, match="an arrival"):
        stand.until(lambda: len(stand.receiver.received) > before, AWAKE_S, "an arrival")


def stopped(stand, label):
    """A delivery whose run comes to the point; who stopped there, and the run's path."""
    hook = stand.hook()
    stand.arm(label, "STOP")
    stand.deliver(hook, f"stop-{label}")
    return stand.died(label)


def held(stand, *more, **options):
    """The oracle finds nothing."""
    verdict = stand.judged(*more, **options)
    assert verdict.holds, verdict.wrong
    return verdict


@pytest.mark.parametrize("label", [*HOSTS, *CLIENTS])
def test_whoever_freezes_is_ended_and_its_run_goes_on(stand, label):
    """Ended in seconds, its run is taken over within 45 s, and a second delivery is explained."""
    pid = stopped(stand, label)
    run = stand.ended(stand.acknowledged[0].run_id, TAKEN_OVER_S)
    assert run["status"] == "succeeded", run
    stand.until(lambda: ended(pid), ENDED_S, "ending it")
    assert [stand.count(f"stop-{label}", step) for step in STEPS] == [2 if label == "C11.client" else 1, 1, 1]
    held(stand)


@pytest.mark.parametrize("label", WATCHERS)
def test_a_watcher_that_freezes_is_ended_and_its_schedule_goes_on(stand, label):
    """With one watcher host, its transaction open or just committed, the schedule is held up for less than 45 s."""
    task = stand.task(EVERY_SECOND, "{{ trigger.output.scheduled_at }}")
    stand.until(lambda: len(stand.received(3)) >= 2, 30, "firing")
    stand.arm(label, "STOP")
    pid = stand.died(label)
    before = len(stand.received(3))
    stand.until(lambda: len(stand.received(3)) >= before + 3, TAKEN_OVER_S, "firing again")
    stand.until(lambda: ended(pid), ENDED_S, "ending it")
    schedule_holds(stand, task)


@pytest.mark.parametrize("label", HOSTS)
def test_a_host_wakes_up_after_its_run_was_taken_over(lenient, label):
    """The run ends elsewhere within 45 s, each step once; the host that wakes up writes nothing and sends nothing."""
    pid = stopped(lenient, label)
    try:
        run = lenient.ended(lenient.acknowledged[0].run_id, TAKEN_OVER_S)
    finally:
        lenient.wake(pid)
    assert run["status"] == "succeeded", run
    nothing_more_arrives(lenient)
    assert [lenient.count(f"stop-{label}", step) for step in STEPS] == [1, 1, 1]
    assert lenient.runs()[0].status == "succeeded"
    held(lenient)


@pytest.mark.parametrize("label", CLIENTS)
def test_a_client_wakes_up_after_its_calls_were_given_up(lenient, label):
    """A client that stops is an unknown outcome; what it sends after waking carries the step's one key, or nothing."""
    pid = stopped(lenient, label)
    try:
        run = lenient.ended(lenient.acknowledged[0].run_id, TAKEN_OVER_S + 15)  # the call's own deadline of 30 s first
    finally:
        lenient.wake(pid)
    nothing_more_arrives(lenient)
    assert run["status"] == "succeeded", run
    assert lenient.count(f"stop-{label}", 1) == (2 if label == "C11.client" else 1)
    held(lenient)


@pytest.mark.parametrize("label", WATCHERS)
def test_a_watcher_wakes_up_after_others_fired_for_it(lenient, label):
    """With its transaction open, or just committed, another watcher host fires within 45 s what it does not."""
    task = lenient.task(EVERY_SECOND, "{{ trigger.output.scheduled_at }}")
    lenient.until(lambda: len(lenient.received(3)) >= 2, 30, "firing")
    lenient.arm(label, "STOP")
    pid = lenient.died(label)
    before = len(lenient.received(3))
    try:
        lenient.until(lambda: len(lenient.received(3)) >= before + 3, TAKEN_OVER_S, "firing for it")
    finally:
        lenient.wake(pid)
    after = len(lenient.received(3))
    lenient.until(lambda: len(lenient.received(3)) >= after + 5, 30, "going on")
    schedule_holds(lenient, task)


def schedule_holds(stand, task):
    """Switched off, every run comes to its end, and every instant is accounted for."""
    stand.ask("POST", f"/api/v1/tasks/{task['id']}/disable")
    stand.until(lambda: all(run.status == "succeeded" for run in stand.runs()), 60, "every run's end")
    schedule = stand.schedule(1)
    assert held(stand, *schedule.due, schedule=schedule).unexplained == 0
