"""A process ends at exactly the labelled instruction (durability, 13.4); n counts a step at the receiver."""

import pytest

from taske_ray.core.retry import refusal_codes
from tests.cluster.receiver import Answer
from tests.faults.oracle import STEPS
from tests.faults.scenes import REFUSED, fired, run_by_hand, schedule_holds, shop

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240, func_only=True)]

RESUME_S = 45

with_two_hosts_and_with_one = pytest.mark.parametrize(
    "stand",
    [
        pytest.param("service", id="two hosts"),
        pytest.param("service_of_one_host", id="one host", marks=pytest.mark.faults),
    ],
    indirect=True,
)


def statuses(run, step):
    """The states of a step's attempts."""
    return [attempt["status"] for attempt in run["steps"][step - 1]["attempts"]]


def made(run, step):
    """The states of the attempts that came to a client; one of our own refusals to send is none."""
    attempts = run["steps"][step - 1]["attempts"]
    return [one["status"] for one in attempts if (one["error"] or {}).get("code") not in refusal_codes]


@pytest.mark.parametrize("label", ["C1", "C2"])
def test_a_hook_dies_before_its_commit(stand, label):
    """C1, C2: the sender saw no 2xx and repeats; there is one run, and each step arrives once."""
    hook = stand.hook()
    stand.arm(label)
    tries = stand.deliver(hook, label)
    stand.died(label, 0.1)
    assert tries[0] != 202
    run = stand.ended(stand.acknowledged[0].run_id)
    assert run["status"] == "succeeded"
    assert len(stand.runs()) == 1
    assert [stand.count(label, step) for step in STEPS] == [1, 1, 1]
    assert stand.judged().holds


def test_a_hook_dies_after_its_commit(stand):
    """C3: the run executes without the sender's help, and the repeated delivery is answered with the same run."""
    hook = stand.hook()
    stand.arm("C3")
    stand.offered.append("C3")
    with pytest.raises(Exception, match=r".*"):
        stand.http.post(hook, json={"event": "C3"}, headers={"webhook-id": "C3"}).raise_for_status()
    stand.died("C3")
    stand.until(lambda: stand.count("C3", 3), RESUME_S, "going on without a repeat")
    stand.deliver(hook, "C3", times=2)
    stand.ended(stand.acknowledged[0].run_id)
    assert [stand.count("C3", step) for step in STEPS] == [1, 1, 1]
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong


@pytest.mark.parametrize("label", ["C4", "C5"])
def test_a_watcher_dies_while_it_fires(stand, label):
    """C4, C5: before the commit nothing happened, after it the run goes on; no instant fires twice or goes missing."""
    task = fired(stand)
    stand.arm(label)
    stand.died(label)
    before = len(stand.received(3))
    stand.until(lambda: len(stand.received(3)) >= before + 3, RESUME_S, "firing again")
    schedule_holds(stand, task)


@pytest.mark.parametrize("label", ["C6", "C7"])
def test_a_watcher_dies_over_a_page(stand, label):
    """C6, C7: fetched and not recorded, the page is taken again; recorded, it is not. Each item once either way."""
    listed = stand.receiver.serve(Answer([{"id": 1}]))
    poll = {"capability": "http.poll", "params": {"url": listed, "key": "id", "every": "PT1S"}}
    stand.task(poll, "{{ trigger.output.item.id }}")
    stand.until(lambda: len(stand.receiver.at(listed)) >= 2, 30, "polling")
    stand.arm(label)
    stand.receiver.answer(listed, Answer([{"id": number} for number in range(1, 6)]))
    stand.died(label)
    stand.until(lambda: len(stand.received(3)) >= 4, RESUME_S, "every new item")
    seen = len(stand.receiver.at(listed))
    stand.until(lambda: len(stand.receiver.at(listed)) >= seen + 2, 30, "polling again")
    assert sorted(one.body["event"] for one in stand.received(3)) == [2, 3, 4, 5]
    assert len(stand.runs()) == 4


@with_two_hosts_and_with_one
@pytest.mark.parametrize("idempotent", [True, False], ids=["keyed", "ask"])
def test_a_host_dies_before_the_intent(stand, idempotent):
    """C8: nothing was meant to be sent yet, so whoever takes the run over sends it once, whatever the call's class."""
    hook = stand.hook(idempotent=idempotent)
    stand.arm("C8")
    stand.deliver(hook, "C8")
    stand.died("C8")
    run = stand.ended(stand.acknowledged[0].run_id, RESUME_S)
    assert run["status"] == "succeeded"
    assert [statuses(run, step) for step in STEPS] == [["succeeded"]] * 3
    assert [stand.count("C8", step) for step in STEPS] == [1, 1, 1]
    assert stand.judged().holds


@with_two_hosts_and_with_one
@pytest.mark.parametrize("idempotent", [True, False], ids=["keyed", "ask"])
def test_a_host_dies_between_intent_and_call(stand, idempotent):
    """C9: its client lives and never had the call, so even one that may not be repeated is sent, once."""
    hook = stand.hook(idempotent=idempotent)
    stand.arm("C9")
    stand.deliver(hook, "C9")
    stand.died("C9")
    run = stand.ended(stand.acknowledged[0].run_id, RESUME_S)
    assert run["status"] == "succeeded", run
    assert [stand.count("C9", step) for step in STEPS] == [1, 1, 1]
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong


@with_two_hosts_and_with_one
def test_a_client_dies_before_it_sends(stand):
    """C9 in the client: nobody can know, so the attempt is unknown and the step is sent again under its one key."""
    hook = stand.hook()
    stand.arm("C9.client")
    stand.deliver(hook, "C9c")
    stand.died("C9.client")
    run = stand.ended(stand.acknowledged[0].run_id, RESUME_S)
    assert run["status"] == "succeeded", run
    assert made(run, 1) == ["unknown", "succeeded"], run["steps"][0]["attempts"]
    assert [stand.count("C9c", step) for step in STEPS] == [1, 1, 1]
    assert stand.judged().holds


@with_two_hosts_and_with_one
@pytest.mark.parametrize("idempotent", [True, False], ids=["keyed", "ask"])
def test_a_host_dies_while_its_call_is_out(stand, idempotent):
    """C10: the client goes on with the call, and who takes the run over is told its outcome: n = 1, none unknown."""
    gate = stand.receiver.gate()
    hook = stand.hook(idempotent=idempotent, answers={1: [Answer(gate=gate)]})
    stand.deliver(hook, "C10")
    stand.until(lambda: stand.count("C10", 1), 30, "the call")
    killed = stand.kill_holder("run")
    stand.until(lambda: stand.holder("run") not in (None, killed), RESUME_S, "another host to take the run over")
    gate.open()
    run = stand.ended(stand.acknowledged[0].run_id, RESUME_S)
    assert run["status"] == "succeeded", run
    assert [stand.count("C10", step) for step in STEPS] == [1, 1, 1]
    assert [made(run, step) for step in STEPS] == [["succeeded"]] * 3
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong


@with_two_hosts_and_with_one
def test_a_client_dies_while_its_call_is_out(stand):
    """C10 in the client: the request arrived and nobody will read its answer; it is sent again under the same key."""
    gate = stand.receiver.gate()
    hook = stand.hook(answers={1: [Answer(gate=gate), Answer()]})
    stand.deliver(hook, "C10c")
    stand.until(lambda: stand.count("C10c", 1), 30, "the call")
    stand.kill_holder("client")
    run = stand.ended(stand.acknowledged[0].run_id, RESUME_S)
    gate.open()
    assert run["status"] == "succeeded", run
    assert made(run, 1) == ["unknown", "succeeded"], run["steps"][0]["attempts"]
    assert [stand.count("C10c", step) for step in STEPS] == [2, 1, 1]
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong
    assert verdict.explained == 1


@with_two_hosts_and_with_one
def test_a_client_dies_while_a_call_is_out_that_may_not_be_repeated(stand):
    """C10 under `ask`: nobody can know, so the run waits for a person, and nothing is sent twice."""
    gate = stand.receiver.gate()
    hook = stand.hook(idempotent=False, answers={1: [Answer(gate=gate), Answer()]})
    stand.deliver(hook, "C10a")
    stand.until(lambda: stand.count("C10a", 1), 30, "the call")
    stand.kill_holder("client")
    run = stand.ended(stand.acknowledged[0].run_id, RESUME_S)
    gate.open()
    assert run["status"] == "needs_attention", run
    assert statuses(run, 1) == ["unknown"]
    assert [stand.count("C10a", step) for step in STEPS] == [1, 0, 0]


@with_two_hosts_and_with_one
def test_a_client_dies_with_an_answer_in_hand(stand):
    """C11 in the client: the request arrived and its answer died; it is sent again under the same key."""
    hook = stand.hook()
    stand.arm("C11.client")
    stand.deliver(hook, "C11c")
    stand.died("C11.client")
    run = stand.ended(stand.acknowledged[0].run_id, RESUME_S)
    assert run["status"] == "succeeded", run
    assert made(run, 1) == ["unknown", "succeeded"], run["steps"][0]["attempts"]
    assert [stand.count("C11c", step) for step in STEPS] == [2, 1, 1]
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong
    assert verdict.explained == 1


@with_two_hosts_and_with_one
def test_a_client_dies_with_the_answer_of_a_call_that_may_not_be_repeated(stand):
    """C11 under `ask`: nobody can know, so the run waits for a person, and nothing is sent twice."""
    hook = stand.hook(idempotent=False)
    stand.arm("C11.client")
    stand.deliver(hook, "C11a")
    stand.died("C11.client")
    run = stand.ended(stand.acknowledged[0].run_id, RESUME_S)
    assert run["status"] == "needs_attention"
    assert [stand.count("C11a", step) for step in STEPS] == [1, 0, 0]


@with_two_hosts_and_with_one
@pytest.mark.parametrize("idempotent", [True, False], ids=["keyed", "ask"])
def test_a_host_dies_with_an_answer_in_hand(stand, idempotent):
    """C11: the client still has the outcome, which is adopted: n = 1 and nothing is unknown in the end."""
    hook = stand.hook(idempotent=idempotent)
    stand.arm("C11")
    stand.deliver(hook, "C11")
    stand.died("C11")
    run = stand.ended(stand.acknowledged[0].run_id, RESUME_S)
    assert run["status"] == "succeeded", run
    assert [stand.count("C11", step) for step in STEPS] == [1, 1, 1], [s["attempts"] for s in run["steps"]]
    assert stand.judged().holds


@with_two_hosts_and_with_one
@pytest.mark.parametrize(
    ("label", "step"), [("C12", 1), ("C13", 1), ("C12", 3), ("C13", 3)], ids=["C12", "C13", "C14", "C14 read"]
)
def test_a_host_dies_behind_a_checkpoint(stand, label, step):
    """C12, C13, C14: what is recorded is not repeated; the run goes on behind it, or is over."""
    gate = stand.receiver.gate()
    hook = stand.hook(answers={step: [Answer(gate=gate)]})
    event = f"{label}-{step}"
    stand.deliver(hook, event)
    stand.until(lambda: stand.count(event, step), 30, "the call")
    stand.arm(label)
    gate.open()
    stand.died(label)
    run = stand.ended(stand.acknowledged[0].run_id, RESUME_S)
    assert run["status"] == "succeeded", run
    assert [stand.count(event, step) for step in STEPS] == [1, 1, 1]
    assert all(statuses(run, step).count("succeeded") == 1 for step in STEPS)
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong


@pytest.mark.parametrize("works", [True, False], ids=["works", "refused"])
def test_a_client_dies_with_new_tokens_in_hand(stand, works):
    """C15: one further request for tokens, however often runs need one; then it works, or the connection is over."""
    second = Answer({"access_token": "second", "expires_in": 3600}) if works else REFUSED
    tokens = stand.receiver.serve(Answer({"access_token": "lost", "expires_in": 3600}), second, REFUSED)
    connection, task = shop(stand, tokens, "shopworks" if works else "shoprefused")
    stand.arm("C15")
    run_id = run_by_hand(stand, task)
    stand.died("C15")
    statuses_of_runs = [stand.ended(run_id, RESUME_S)["status"]]
    statuses_of_runs += [stand.ended(run_by_hand(stand, task), RESUME_S)["status"] for _ in range(2)]
    assert statuses_of_runs == (["succeeded"] * 3 if works else ["failed"] * 3)
    assert len(stand.receiver.at(tokens)) == 2
    found = stand.ask("GET", f"/api/v1/connections/{connection}")
    assert found["status"] == ("active" if works else "needs_reauth")
