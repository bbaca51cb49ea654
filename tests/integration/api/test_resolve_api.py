"""Runs that need attention over HTTP: the request in question is shown, and a person's word decides, once."""

import asyncio

import pytest

from taske_ray.clock import new_id
from taske_ray.core.ids import parse_id
from taske_ray.db import hosts
from taske_ray.db.hosts import HostRow
from taske_ray.db.runs import Advance, AttemptClosed, AttemptOpened, RunStore, StepWritten

pytestmark = pytest.mark.integration

PARAMS = {"url": "https://example.com/pay", "method": "POST", "body": {"amount": 1}}
ACTION = {"capability": "http.request", "on_unknown": "ask", "params": PARAMS}
TASK = {"name": "Pay", "trigger": {"capability": "system.manual"}, "actions": [ACTION]}
FAILURE = {"class": "unknown", "code": "unknown_outcome", "message": "No answer came."}


@pytest.fixture
async def parked(mina, database):
    """Makes runs whose only call, of a task with these options, has an unknown outcome."""

    async def park(**options):
        task = (await mina.post("/tasks", json={**TASK, "actions": [ACTION | options]})).json()
        run_id = (await mina.post(f"/tasks/{task['id']}/run")).json()["run_id"]
        host = new_id()
        await hosts.register(database, HostRow(host, "run", str(host), "n", "boot", 1, 1.0, 10))
        run_uuid = parse_id("run", run_id)
        await database.fetch(
            "UPDATE runs SET status = 'running', owner = %(host)s, fence = 1 WHERE id = %(id)s",
            {"host": host, "id": run_uuid},
        )
        store = RunStore(database, owner=lambda: host)
        begun = StepWritten(1, "action1", "http.request", "running", input=PARAMS)
        await store.advance(Advance(run_uuid, 1, steps=(begun,), opened=(AttemptOpened(1, 1, "key"),)))
        unknown = StepWritten(1, "action1", "http.request", "unknown", error=FAILURE)
        closed = AttemptClosed(1, 1, "unknown", error=FAILURE)
        await store.advance(Advance(run_uuid, 1, "needs_attention", error=FAILURE, closed=(closed,), steps=(unknown,)))
        await store.close()
        return run_id

    return park


async def test_the_request_in_question_is_shown(mina, parked):
    """An attempt that was cut off shows the request that was perhaps sent, built from what is recorded."""
    run = (await mina.get(f"/runs/{await parked()}")).json()
    assert (run["status"], run["steps"][0]["status"], run["error"]["code"]) == (
        "needs_attention",
        "unknown",
        "unknown_outcome",
    )
    request = run["steps"][0]["attempts"][0]["request"]
    assert (request["method"], request["body"]) == ("POST", {"amount": 1})
    assert request["url"] == "https://example.com/pay"
    assert request["headers"]["idempotency-key"] == f"{run['id']}:action1"


@pytest.mark.parametrize(
    ("decision", "options", "status", "step"),
    [
        ("sent", {}, "queued", "succeeded"),
        ("resend", {}, "queued", "pending"),
        ("fail", {}, "failed", "failed"),
        ("fail", {"on_error": "continue"}, "queued", "failed"),
    ],
)
async def test_a_decision_moves_step_and_run(mina, parked, hosts, decision, options, status, step):
    """`sent` settles the step, `resend` opens it again, `fail` fails it; the hosts are nudged to go on."""
    run_id = await parked(**options)
    answer = await mina.post(f"/runs/{run_id}/resolve", json={"decision": decision})
    assert (answer.status_code, answer.json()) == (202, {"run_id": run_id, "status": status}), answer.json()
    run = (await mina.get(f"/runs/{run_id}")).json()
    assert (run["status"], run["steps"][0]["status"]) == (status, step)
    assert (run["error"] is None) == (status == "queued")
    assert run["steps"][0]["attempts"][0]["status"] == "unknown"
    assert (run["finished_at"] is None) == (status == "queued")
    assert hosts


async def test_a_run_is_resolved_once(mina, parked):
    """Of ten decisions at once one counts; the others, and later ones, are conflicts."""
    run_id = await parked()
    answers = await asyncio.gather(
        *(mina.post(f"/runs/{run_id}/resolve", json={"decision": word}) for word in ["sent", "resend"] * 5)
    )
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 9
    late = await mina.post(f"/runs/{run_id}/resolve", json={"decision": "sent"})
    assert (late.status_code, late.json()["type"].rpartition("/")[2]) == (409, "nothing_to_resolve")


async def test_what_cannot_be_resolved(mina, parked):
    """Another word is 422 with a pointer; a run that is only queued is 409; an unknown one is missing."""
    run_id = await parked()
    wrong = await mina.post(f"/runs/{run_id}/resolve", json={"decision": "maybe"})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/decision")
    task = (await mina.post("/tasks", json=TASK)).json()
    queued = (await mina.post(f"/tasks/{task['id']}/run")).json()["run_id"]
    assert (await mina.post(f"/runs/{queued}/resolve", json={"decision": "sent"})).status_code == 409
    assert (await mina.post(f"/runs/run_{'0' * 32}/resolve", json={"decision": "sent"})).status_code == 404
    assert (await mina.post(f"/runs/{run_id}/cancel")).json()["status"] == "cancelled"
    assert (await mina.post(f"/runs/{run_id}/resolve", json={"decision": "sent"})).status_code == 409
