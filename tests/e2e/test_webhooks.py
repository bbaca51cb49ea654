"""Webhooks from outside: acknowledged after commit, once for each delivery, and nothing lost when a host is killed."""

import asyncio
import collections
import os
import signal
from uuid import uuid4

import httpx
import pytest

from tests.cluster.engine import post
from tests.cluster.receiver import Answer
from tests.facts import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120, func_only=True)]

WEBHOOK = {"capability": "system.webhook"}


@pytest.fixture
def hook(user, receiver):
    """A task that passes a delivery on in two steps: its hook's address, and where the steps go."""
    first, second = receiver.serve(Answer({"n": 41})), receiver.serve()
    saved = user.task(
        WEBHOOK,
        post(first, {"i": "{{ trigger.output.body.i }}"}),
        post(second, {"n": "{{ action1.output.body.n }}", "i": "{{ trigger.output.body.i }}"}),
    )
    yield saved["trigger"]["hook_url"], first, second
    user.ask("DELETE", f"/tasks/{saved['id']}", status=204)


def test_a_delivery_becomes_a_run(user, hook, receiver):
    """202 with a run that exists, was told everything about the request, and ends with both steps sent."""
    url, first, second = hook
    sent = httpx.post(f"{url}?from=test", json={"i": 7}, headers={"x-kind": "push"})
    assert sent.status_code == 202
    run = user.ended(sent.json()["run_id"])
    assert run["status"] == "succeeded"
    told = run["trigger_output"]
    assert (told["body"], told["method"], told["query"]) == ({"i": 7}, "POST", {"from": "test"})
    assert told["headers"]["x-kind"] == "push"
    assert [each.body for each in receiver.at(first) + receiver.at(second)] == [{"i": 7}, {"n": 41, "i": 7}]


def test_the_same_delivery_again_is_the_same_run(user, hook, receiver):
    """A repetition under the same delivery id gets the first one's answer and sends nothing again."""
    url, first, _ = hook
    headers = {"webhook-id": uuid4().hex}
    answers = [httpx.post(url, json={"i": 1}, headers=headers) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    [run_id] = {answer.json()["run_id"] for answer in answers}
    assert user.ended(run_id)["status"] == "succeeded"
    assert len(receiver.at(first)) == 1


async def test_fifty_copies_at_once_are_one_run(user, hook, receiver):
    """Fifty copies of one delivery at the same moment: fifty equal answers, one run, one request a step."""
    url, first, second = hook
    headers = {"webhook-id": uuid4().hex}
    async with httpx.AsyncClient(timeout=30) as client:
        answers = await asyncio.gather(*(client.post(url, json={"i": 1}, headers=headers) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {202}
    [run_id] = {answer.json()["run_id"] for answer in answers}
    assert user.ended(run_id)["status"] == "succeeded"
    assert (len(receiver.at(first)), len(receiver.at(second))) == (1, 1)


def test_what_is_refused_at_the_door(service, user, hook, receiver):
    """An unknown token is 404, a disabled hook too, a body over 1 MiB is 413; none of them runs anything."""
    url, first, _ = hook
    assert httpx.post(f"{service.url}/hooks/nobody", json={}).status_code == 404
    assert httpx.post(url, content=b"x" * (2**20 + 1)).status_code == 413
    task = next(each for each in user.ask("GET", "/tasks")["items"] if each["trigger"].get("hook_url") == url)
    user.ask("POST", f"/tasks/{task['id']}/disable")
    assert httpx.post(url, json={"i": 1}).status_code == 404
    assert user.ask("GET", f"/runs?task_id={task['id']}")["items"] == []
    assert not receiver.at(first)


@pytest.mark.faults
async def test_no_acknowledged_delivery_is_lost_with_a_run_host(service, user, hook, receiver):
    """`kill -9` of the run host under load: each acknowledged delivery's run succeeds, repetitions are explained."""
    url, first, second = hook
    limits = httpx.Limits(max_connections=16)
    async with httpx.AsyncClient(timeout=30, limits=limits) as client:
        sending = [asyncio.create_task(delivered(client, url, number)) for number in range(300)]
        await until(lambda: sum(each.done() for each in sending) >= 100, 60, "a third of the load")
        [host] = [each for each in service.processes() if (each.cmdline() or [""])[0].startswith("ray::RunHost")]
        os.kill(host.pid, signal.SIGKILL)
        acknowledged = await asyncio.gather(*sending)
    assert len(set(acknowledged)) == 300
    runs = await asyncio.to_thread(lambda: [user.ended(run_id, within_s=90) for run_id in acknowledged])
    assert collections.Counter(run["status"] for run in runs) == {"succeeded": 300}
    for address, step in ((first, 0), (second, 1)):
        receipts = collections.Counter(each.key for each in receiver.at(address))
        assert set(receipts) == {f"{run_id}:action{step + 1}" for run_id in acknowledged}
        for run in runs:
            unknown = sum(each["status"] == "unknown" for each in run["steps"][step]["attempts"])
            assert receipts[f"{run['id']}:action{step + 1}"] - 1 <= unknown
    await until(lambda: httpx.get(f"{service.url}/readyz").status_code == 200, 30, "being ready")


async def delivered(client, url, number):
    """The run of a delivery, sent again under its id until it is acknowledged, as senders do."""
    headers = {"webhook-id": f"load-{number}-{uuid4().hex}"}

    async def acknowledged():
        answer = await client.post(url, json={"i": number}, headers=headers)
        return answer.json()["run_id"] if answer.status_code == 202 else None

    return await until(acknowledged, 60, "a 202", despite=httpx.TransportError, again_s=0.1)
