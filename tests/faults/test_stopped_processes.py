"""SIGSTOP at a crash point and SIGCONT after the takeover: whoever wakes up adds nothing to the ledger (5.3, 13.4)."""

import pytest

from tests.faults.oracle import STEPS

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300, func_only=True)]

EVERY_SECOND = {"capability": "system.schedule.interval", "params": {"every": "PT1S"}}
TAKEN_OVER_S = 45
AWAKE_S = 10


def nothing_more_arrives(stand):
    """The ledger's length stays what it is for as long as a woken process needs to do harm."""
    before = len(stand.receiver.received)
    with pytest.raises(AssertionError, match="an arrival took more"):
        stand.until(lambda: len(stand.receiver.received) > before, AWAKE_S, "an arrival")


@pytest.mark.parametrize("label", ["C8", "C9", "C11", "C12", "C13"])
def test_a_host_wakes_up_after_its_run_was_taken_over(stand, label):
    """The run ends elsewhere within 45 s, each step once; the host that wakes up writes nothing and sends nothing."""
    hook = stand.hook()
    stand.arm(label, "STOP")
    stand.deliver(hook, f"stop-{label}")
    pid = stand.died(label)
    try:
        run = stand.ended(stand.acknowledged[0].run_id, TAKEN_OVER_S)
    finally:
        stand.wake(pid)
    assert run["status"] == "succeeded", run
    nothing_more_arrives(stand)
    assert [stand.count(f"stop-{label}", step) for step in STEPS] == [1, 1, 1]
    assert stand.runs()[0].status == "succeeded"
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong


@pytest.mark.parametrize("label", ["C9.client", "C11.client"])
def test_a_client_wakes_up_after_its_calls_were_given_up(stand, label):
    """A client that stops is an unknown outcome; what it sends after waking carries the step's one key, or nothing."""
    hook = stand.hook()
    stand.arm(label, "STOP")
    stand.deliver(hook, f"stop-{label}")
    pid = stand.died(label)
    try:
        run = stand.ended(
            stand.acknowledged[0].run_id, TAKEN_OVER_S + 15
        )  # the call's own deadline of 30 s comes first
    finally:
        stand.wake(pid)
    nothing_more_arrives(stand)
    assert run["status"] == "succeeded", run
    assert stand.count(f"stop-{label}", 1) == (2 if label == "C11.client" else 1)
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong


@pytest.mark.parametrize("label", ["C4", "C5"])
def test_a_watcher_wakes_up_after_others_fired_for_it(stand, label):
    """With its transaction open, or just committed, a stopped watcher holds its schedule up for less than 45 s."""
    task = stand.task(EVERY_SECOND, "{{ trigger.output.scheduled_at }}")
    stand.until(lambda: len(stand.received(3)) >= 2, 30, "firing")
    stand.arm(label, "STOP")
    pid = stand.died(label)
    before = len(stand.received(3))
    try:
        stand.until(lambda: len(stand.received(3)) >= before + 3, TAKEN_OVER_S, "firing for it")
    finally:
        stand.wake(pid)
    after = len(stand.received(3))
    stand.until(lambda: len(stand.received(3)) >= after + 5, 30, "going on")
    stand.ask("POST", f"/api/v1/tasks/{task['id']}/disable")
    stand.until(lambda: all(run.status == "succeeded" for run in stand.runs()), 60, "every run's end")
    schedule = stand.schedule(1)
    verdict = stand.judged(*schedule.due, schedule=schedule)
    assert verdict.holds, verdict.wrong
    assert verdict.unexplained == 0
