"""A negative control: with aiohttp's own repeat left on, the oracle must see the second delivery (durability, 13.3)."""

import itertools

import pytest

from taske_ray.core.outcome import Succeeded, Unknown
from taske_ray.integrations.drive import drive
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.guarded_transport import GuardedTransport
from taske_ray.integrations.transport import Transport
from tests.faults.oracle import Acknowledged, Attempt, Receipt, RunRow, Story, judge
from tests.integration.integrations.conftest import reply, serving

pytestmark = pytest.mark.integration
HEADERS = {"idempotency-key": "run_1:action1"}
ATTEMPTS = {Succeeded: Attempt("succeeded", sent=True), Unknown: Attempt("unknown")}


async def one_step(monkeypatch, *, repeat):
    """One attempt of a PUT whose service reads it on a kept connection and hangs up; what the oracle says of it."""
    make = GuardedTransport.open_session

    def open_session(self):
        session = make(self)
        session._retry_connection = repeat
        return session

    monkeypatch.setattr(GuardedTransport, "open_session", open_session)
    requests = itertools.count(1)

    async def answer(_, writer):
        if next(requests) == 2:
            writer.close()
        else:
            writer.write(reply(b"{}"))

    def conversation(request):
        yield request
        return Succeeded({})

    async with serving(answer) as server:
        transport = Transport(guard=EgressGuard(["127.0.0.0/8"]))
        await transport.send(server.request("GET"), timeout_s=5)  # the connection that is kept
        request = server.request("PUT", headers=HEADERS, body=b"{}")
        outcome = await drive(conversation(request), lambda request: transport.send(request, timeout_s=5))
        await transport.close()
    received = [one for one in server.received if b"idempotency-key" in one.lower()]
    story = Story(
        offered=["e"],
        acknowledged=[Acknowledged("e", "run_1", 0.0)],
        receipts=[Receipt("run_1:action1", "e", 1, float(at)) for at, _ in enumerate(received)],
        runs=[RunRow("run_1", "e", "succeeded", {1: (ATTEMPTS[type(outcome)],)})],
        steps=(1,),
    )
    return len(received), outcome, judge(story)


async def test_a_broken_call_is_sent_once(monkeypatch):
    """As it is built in: one delivery, an unknown outcome, and nothing to hold against it."""
    deliveries, outcome, verdict = await one_step(monkeypatch, repeat=False)
    assert (deliveries, type(outcome)) == (1, Unknown)
    assert verdict.holds, verdict.wrong


async def test_the_library_that_repeats_by_itself_is_caught(monkeypatch):
    """Two deliveries, one attempt that succeeded: nothing explains the second one."""
    deliveries, outcome, verdict = await one_step(monkeypatch, repeat=True)
    assert (deliveries, type(outcome)) == (2, Succeeded)
    assert verdict.unexplained == 1
    assert "O3" in verdict.wrong
