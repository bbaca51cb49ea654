"""Runs on real actors: steps in order, what happens when a service fails, and what a broken step says."""

import pytest

from tests.cluster.engine import get, post
from tests.cluster.receiver import Answer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90, func_only=True)]


async def test_two_actions_run_in_order_and_are_recorded(engine, receiver):
    """The second action uses the first one's answer; both steps are recorded, each call has a key of its own."""
    first = receiver.serve(Answer({"n": 41}))
    second = receiver.serve()
    run = await engine.run(
        post(first, {"x": "{{ trigger.output.i }}"}), post(second, {"y": "{{ action1.output.body.n }}"}), given={"i": 7}
    )
    assert run["status"] == "succeeded"
    assert [step["status"] for step in run["steps"]] == ["succeeded", "succeeded"]
    assert run["steps"][0]["output"]["body"] == {"n": 41}
    assert run["steps"][1]["input"]["body"] == {"y": 41}
    assert [len(step["attempts"]) for step in run["steps"]] == [1, 1]
    sent = receiver.at(first) + receiver.at(second)
    assert [each.body for each in sent] == [{"x": 7}, {"y": 41}]
    assert [each.key for each in sent] == [f"{run['id']}:action1", f"{run['id']}:action2"]
    assert sent[0].number < sent[1].number


async def test_a_server_error_is_tried_again_under_the_same_key(engine, receiver):
    """Two 500s and a 200 are one step with three attempts, all under one key."""
    url = receiver.serve(Answer(status=500), Answer(status=500), Answer({"n": 1}))
    run = await engine.run(post(url))
    assert run["status"] == "succeeded"
    assert [each["status"] for each in run["steps"][0]["attempts"]] == ["failed", "failed", "succeeded"]
    assert [each["http_status"] for each in run["steps"][0]["attempts"]] == [500, 500, 200]
    assert {each.key for each in receiver.at(url)} == {f"{run['id']}:action1"}


async def test_retry_after_is_obeyed(engine, receiver):
    """After a 429 with Retry-After the next request comes not earlier, and not much later."""
    url = receiver.serve(Answer(status=429, headers={"retry-after": "2"}), Answer())
    run = await engine.run(post(url))
    assert run["status"] == "succeeded"
    first, second = receiver.at(url)
    assert 2.0 <= second.at - first.at < 5.0


async def test_gives_up_after_the_attempts_it_was_given(engine, receiver):
    """With two attempts at most the second 500 ends the step and the run, and the error says so."""
    url = receiver.serve(Answer(status=500))
    run = await engine.run(post(url, retry={"max_attempts": 2}))
    assert run["status"] == "failed"
    assert len(run["steps"][0]["attempts"]) == len(receiver.at(url)) == 2
    assert run["steps"][0]["error"]["class"] == "transient"
    assert run["error"]["step"] == "action1"


async def test_a_false_condition_skips_the_step(engine, receiver):
    """An action whose `if` is false sends nothing and is `skipped`; the next one runs."""
    not_sent, sent = receiver.serve(), receiver.serve()
    run = await engine.run(
        {**post(not_sent), "if": "trigger.output.count > 0"},
        {**post(sent), "if": "trigger.output.count == 0"},
        given={"count": 0},
    )
    assert run["status"] == "succeeded"
    assert [step["status"] for step in run["steps"]] == ["skipped", "succeeded"]
    assert not receiver.at(not_sent)
    assert len(receiver.at(sent)) == 1


async def test_continue_goes_on_behind_a_failed_step(engine, receiver):
    """With `on_error: continue` the run goes on and succeeds; with `stop` what follows stays pending."""
    gone, after = receiver.serve(Answer(status=404)), receiver.serve()
    run = await engine.run(post(gone, on_error="continue"), post(after))
    assert [step["status"] for step in run["steps"]] == ["failed", "succeeded"]
    assert run["status"] == "succeeded"
    run = await engine.run(post(gone, on_error="stop"), post(after))
    assert [step["status"] for step in run["steps"]] == ["failed", "pending"]
    assert run["status"] == "failed"
    assert len(receiver.at(after)) == 1


async def test_an_undefined_variable_fails_the_step_without_a_call(engine, receiver):
    """A template that names what is not there ends in a failed step that says which name."""
    url = receiver.serve()
    run = await engine.run(post(url, {"x": "{{ trigger.output.missing }}"}))
    explained(run, "failed", "missing")
    assert not receiver.at(url)


async def test_an_oversized_answer_fails_the_step(engine, receiver):
    """An answer over 5 MiB ends in a failed step, not in a truncated value."""
    run = await engine.run(get(receiver.serve(Answer(megabytes=6)), retry={"max_attempts": 1}))
    explained(run, "failed", "larger than")
    assert run["steps"][0]["output"] is None


async def test_a_timeout_is_an_unknown_outcome(engine, receiver):
    """Nobody can know whether a service that did not answer in time has acted: the step says so and the run fails."""
    url = receiver.serve(Answer(hang=True))
    run = await engine.run(post(url, timeout_s=1, retry={"max_attempts": 1}))
    explained(run, "unknown", "")
    assert [each["status"] for each in run["steps"][0]["attempts"]] == ["unknown"]
    assert len(receiver.at(url)) == 1


async def test_a_connection_cut_after_the_request_is_sent_again_under_the_same_key(engine, receiver):
    """A service that reads and hangs up leaves an unknown attempt; the repetition carries the same key."""
    url = receiver.serve(Answer(cut=True), Answer())
    run = await engine.run(post(url))
    assert run["status"] == "succeeded"
    assert [each["status"] for each in run["steps"][0]["attempts"]] == ["unknown", "succeeded"]
    assert len({each.key for each in receiver.at(url)}) == 1
    assert len(receiver.at(url)) == 2


async def test_a_delay_sleeps_in_the_database_and_goes_on(engine, receiver):
    """A run with a delay is `waiting`, owned by no host, and continues behind the delay when it is over."""
    url = receiver.serve()
    run_id = await engine.fire(await engine.task({"capability": "system.delay", "params": {"for": "PT2S"}}, post(url)))
    await engine.reached(run_id, "waiting")
    assert not receiver.at(url)
    run = await engine.ended(run_id)
    assert [step["status"] for step in run["steps"]] == ["succeeded", "succeeded"]
    assert len(receiver.at(url)) == 1


async def test_a_run_keeps_the_version_it_began_with(engine, receiver):
    """A task that is edited while it runs: the run in flight goes on as it was saved, the next one is the new text."""
    gate = receiver.gate()
    first, old, new = receiver.serve(Answer(gate=gate)), receiver.serve(), receiver.serve()
    task = await engine.task(post(first), post(old))
    run_id = await engine.fire(task)
    await engine.reached(run_id, "running")
    edited = {
        **{name: task[name] for name in ("name", "trigger", "actions")},
        "trigger": {"capability": "system.manual"},
    }
    edited["actions"] = [post(first), post(new)]
    saved = await engine.services.tasks.replace(task["id"], edited, owner=engine.owner)
    gate.open()
    run = await engine.ended(run_id)
    assert (run["task_version"], saved["version"]) == (1, 2)
    assert (len(receiver.at(old)), len(receiver.at(new))) == (1, 0)
    assert (await engine.ended(await engine.fire(saved)))["task_version"] == 2
    assert (len(receiver.at(old)), len(receiver.at(new))) == (1, 1)


def explained(run, status, word):
    """The first step's error has a class, a code and a message that a person understands."""
    step = run["steps"][0]
    assert (run["status"], step["status"]) == ("failed", status)
    error = step["error"]
    assert error["class"]
    assert error["code"]
    assert word in error["message"]
    assert "Traceback" not in error["message"]
