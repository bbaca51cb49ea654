"""SIGSTOP at a crash point, and SIGCONT after others took over (5.4, 13.4): who wakes up too late changes nothing.

What ends frozen processes is taken out of the service from outside (`sabotage`), so that leases and fences are alone.
"""

import tempfile
from pathlib import Path

import httpx
import pytest

from tests.bench.service import temporary
from tests.bench.stand import Stub
from tests.facts import TooLate
from tests.faults.oracle import STEPS
from tests.faults.scenes import (
    NEW_ITEMS,
    each_item_once,
    fired,
    held,
    run_by_hand,
    schedule_holds,
    stopped,
    stopped_in_call,
    stopped_over_page,
    stopped_with_new_tokens,
)
from tests.faults.stand import Stand

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300, func_only=True)]

SABOTAGE = Path(__file__).parent / "sabotage"
TAKEN_OVER_S = 45
GIVEN_UP_S = 60
"""A call's own deadline of 30 s comes first, then what follows it."""
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


def nothing_more_arrives(stand):
    """The ledger's length stays what it is for as long as a woken process needs to do harm."""
    before = len(stand.receiver.received)
    with pytest.raises(TooLate, match="an arrival"):
        stand.until(lambda: len(stand.receiver.received) > before, AWAKE_S, "an arrival")


@pytest.mark.parametrize(("label", "recorded"), [("C1", False), ("C2", False), ("C3", True)])
def test_a_hook_wakes_up_after_its_sender_gave_up(lenient, label, recorded):
    """What it then goes on with and what its sender repeats are one run; a recorded one was executed meanwhile."""
    hook, event = lenient.hook(), f"stop-{label}"
    lenient.arm(label, "STOP")
    lenient.offered.append(event)
    with pytest.raises(httpx.HTTPError):
        lenient.http.post(hook, json={"event": event}, headers={"webhook-id": event}).raise_for_status()
    pid = lenient.died(label)
    try:
        if recorded:
            lenient.until(lambda: lenient.count(event, 3), TAKEN_OVER_S, "going on without the hook")
    finally:
        lenient.wake(pid)
    lenient.deliver(hook, event, times=2)
    run = lenient.ended(lenient.acknowledged[0].run_id, TAKEN_OVER_S)
    assert run["status"] == "succeeded", run
    nothing_more_arrives(lenient)
    assert [lenient.count(event, step) for step in STEPS] == [1, 1, 1]
    held(lenient)


@pytest.mark.parametrize("label", ["C8", "C9", "C11", "C12", "C13"])
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


def test_a_host_wakes_up_after_its_call_was_adopted(lenient):
    """C10: another host is told the outcome of the call that was out, and the one that wakes up sends nothing."""
    pid, gate = stopped_in_call(lenient, "run")
    try:
        lenient.until(lambda: lenient.holder("run") not in (None, pid), TAKEN_OVER_S, "another host to take it over")
        gate.open()
        run = lenient.ended(lenient.acknowledged[0].run_id, TAKEN_OVER_S)
    finally:
        lenient.wake(pid)
    assert run["status"] == "succeeded", run
    nothing_more_arrives(lenient)
    assert [lenient.count("stop-C10", step) for step in STEPS] == [1, 1, 1]
    held(lenient)


@pytest.mark.parametrize("label", ["C9.client", "C11.client"])
def test_a_client_wakes_up_after_its_calls_were_given_up(lenient, label):
    """A client that stops is an unknown outcome; what it sends after waking carries the step's one key, or nothing."""
    pid = stopped(lenient, label)
    try:
        run = lenient.ended(lenient.acknowledged[0].run_id, GIVEN_UP_S)
    finally:
        lenient.wake(pid)
    nothing_more_arrives(lenient)
    assert run["status"] == "succeeded", run
    assert lenient.count(f"stop-{label}", 1) == (2 if label == "C11.client" else 1)
    held(lenient)


def test_a_client_wakes_up_to_the_answer_of_a_call_that_was_sent_again(lenient):
    """C10 in the client: the answer that it reads when it wakes up is nobody's any more."""
    pid, gate = stopped_in_call(lenient, "client")
    try:
        run = lenient.ended(lenient.acknowledged[0].run_id, GIVEN_UP_S)
    finally:
        gate.open()
        lenient.wake(pid)
    assert run["status"] == "succeeded", run
    nothing_more_arrives(lenient)
    assert [lenient.count("stop-C10", step) for step in STEPS] == [2, 1, 1]
    assert held(lenient).explained == 1


def test_a_client_wakes_up_with_tokens_that_were_got_anew(lenient):
    """C15: it neither stores nor uses those in its hand; the connection works with what another client got."""
    pid, tokens, task, run_id = stopped_with_new_tokens(lenient, "shopwoken")
    try:
        run = lenient.ended(run_id, GIVEN_UP_S)
    finally:
        lenient.wake(pid)
    assert run["status"] == "succeeded", run
    nothing_more_arrives(lenient)
    assert lenient.ended(run_by_hand(lenient, task), TAKEN_OVER_S)["status"] == "succeeded"
    assert len(lenient.receiver.at(tokens)) == 2


@pytest.mark.parametrize("label", ["C4", "C5"])
def test_a_watcher_wakes_up_after_others_fired_for_it(lenient, label):
    """With its transaction open, or just committed, another watcher host fires within 45 s what it does not."""
    task = fired(lenient)
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


@pytest.mark.parametrize("label", ["C6", "C7"])
def test_a_watcher_wakes_up_over_a_page_that_others_took(lenient, label):
    """Its page not recorded yet, or just recorded: another watcher host takes each item once, and so it stays."""
    pid, listed = stopped_over_page(lenient, label)
    try:
        lenient.until(lambda: len(lenient.received(3)) >= len(NEW_ITEMS), TAKEN_OVER_S, "every new item")
        seen = len(lenient.receiver.at(listed))
        lenient.until(lambda: len(lenient.receiver.at(listed)) > seen, TAKEN_OVER_S, "checks by another")
    finally:
        lenient.wake(pid)
    each_item_once(lenient, listed)
