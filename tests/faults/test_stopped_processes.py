"""SIGSTOP at a crash point (5.3, 13.4): whoever freezes there is ended in seconds, and its work goes on."""

import pytest

from tests.faults.oracle import STEPS
from tests.faults.scenes import (
    NEW_ITEMS,
    each_item_once,
    ended,
    fired,
    held,
    run_by_hand,
    schedule_holds,
    stopped,
    stopped_in_call,
    stopped_over_page,
    stopped_with_new_tokens,
)

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300, func_only=True)]

TAKEN_OVER_S = 45
ENDED_S = 20


@pytest.mark.parametrize("label", ["C1", "C2", "C3"])
def test_a_hook_that_freezes_is_ended_and_its_delivery_is_one_run(stand, label):
    """Its sender's connection breaks in seconds; repeated, the delivery is the run that was recorded, or the first."""
    hook = stand.hook()
    stand.arm(label, "STOP")
    tries = stand.deliver(hook, f"stop-{label}", times=2)
    pid = stand.died(label, 0.1)
    assert tries[0] != 202
    assert "ReadTimeout" not in tries, tries
    assert ended(pid)
    run = stand.ended(stand.acknowledged[0].run_id, TAKEN_OVER_S)
    assert run["status"] == "succeeded", run
    assert [stand.count(f"stop-{label}", step) for step in STEPS] == [1, 1, 1]
    held(stand)


@pytest.mark.parametrize("label", ["C8", "C9", "C11", "C12", "C13", "C9.client", "C11.client"])
def test_whoever_freezes_is_ended_and_its_run_goes_on(stand, label):
    """Ended in seconds, its run is taken over within 45 s, and a second delivery is explained."""
    pid = stopped(stand, label)
    run = stand.ended(stand.acknowledged[0].run_id, TAKEN_OVER_S)
    assert run["status"] == "succeeded", run
    stand.until(lambda: ended(pid), ENDED_S, "ending it")
    assert [stand.count(f"stop-{label}", step) for step in STEPS] == [2 if label == "C11.client" else 1, 1, 1]
    held(stand)


def test_a_host_that_freezes_while_its_call_is_out_is_ended(stand):
    """C10: the client goes on with the call, and who takes the run over within 45 s is told its outcome: n = 1."""
    pid, gate = stopped_in_call(stand, "run")
    stand.until(lambda: stand.holder("run") not in (None, pid), TAKEN_OVER_S, "another host to take the run over")
    gate.open()
    run = stand.ended(stand.acknowledged[0].run_id, TAKEN_OVER_S)
    assert run["status"] == "succeeded", run
    assert ended(pid)
    assert [stand.count("stop-C10", step) for step in STEPS] == [1, 1, 1]
    held(stand)


def test_a_client_that_freezes_while_its_call_is_out_is_ended(stand):
    """C10 in the client: nobody will read the answer, so the call is sent again under the same key."""
    pid, gate = stopped_in_call(stand, "client")
    run = stand.ended(stand.acknowledged[0].run_id, TAKEN_OVER_S)
    gate.open()
    assert run["status"] == "succeeded", run
    assert ended(pid)
    assert [stand.count("stop-C10", step) for step in STEPS] == [2, 1, 1]
    assert held(stand).explained == 1


@pytest.mark.parametrize("label", ["C4", "C5"])
def test_a_watcher_that_freezes_is_ended_and_its_schedule_goes_on(stand, label):
    """With one watcher host, its transaction open or just committed, the schedule is held up for less than 45 s."""
    task = fired(stand)
    stand.arm(label, "STOP")
    pid = stand.died(label)
    before = len(stand.received(3))
    stand.until(lambda: len(stand.received(3)) >= before + 3, TAKEN_OVER_S, "firing again")
    stand.until(lambda: ended(pid), ENDED_S, "ending it")
    schedule_holds(stand, task)


@pytest.mark.parametrize("label", ["C6", "C7"])
def test_a_watcher_that_freezes_over_a_page_is_ended_and_its_list_is_read(stand, label):
    """With one watcher host, its page not recorded yet or just recorded, each item has one run within 45 s."""
    pid, listed = stopped_over_page(stand, label)
    stand.until(lambda: len(stand.received(3)) >= len(NEW_ITEMS), TAKEN_OVER_S, "every new item")
    stand.until(lambda: ended(pid), ENDED_S, "ending it")
    each_item_once(stand, listed)


def test_a_client_that_freezes_with_new_tokens_is_ended_and_they_are_asked_for_once_more(stand):
    """C15: one further request for tokens, and then the connection works, however often runs need it."""
    pid, tokens, task, run_id = stopped_with_new_tokens(stand, "shopfrozen")
    for one in (run_id, *(run_by_hand(stand, task) for _ in range(2))):
        assert stand.ended(one, TAKEN_OVER_S)["status"] == "succeeded"
    assert ended(pid)
    assert len(stand.receiver.at(tokens)) == 2
