"""The calls that this process has and had."""

import asyncio
from uuid import UUID

import pytest

from taske_ray.core.call import Call
from taske_ray.core.outcome import Succeeded, Unknown
from taske_ray.integrations import ledger as module
from taske_ray.integrations.ledger import CallLedger, Finished


class Seconds:
    """A clock that stands until moved."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def call(call_id="c1", *, run_id="r", fence=1):
    """A call that differs in what these tests are about."""
    return Call(call_id, UUID(int=1), "http.request", 1, {}, "2026-01-01T00:00:00Z", run_id=run_id, fence=fence)


def done(output, size=10):
    """A start that finishes at once."""

    async def start():
        return Finished(Succeeded(output), size)

    return start


async def test_a_call_is_made_once():
    """The same id twice, at the same time or later, is one call with one outcome."""
    ledger, gate, started = CallLedger(Seconds()), asyncio.Event(), []

    async def start():
        started.append(1)
        await gate.wait()
        return Finished(Succeeded("x"), 1)

    both = [asyncio.create_task(ledger.once(call(), start)) for _ in range(2)]
    await asyncio.sleep(0)
    gate.set()
    assert await asyncio.gather(*both) == [Succeeded("x")] * 2
    assert await ledger.once(call(), start) == Succeeded("x")
    assert len(started) == 1


async def test_a_call_outlives_the_one_who_waits():
    """Cancelling the waiter does not cancel the call; its outcome can be adopted."""
    ledger, gate = CallLedger(Seconds()), asyncio.Event()

    async def start():
        await gate.wait()
        return Finished(Succeeded("late"), 1)

    waiter = asyncio.create_task(ledger.once(call(), start))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    asker = asyncio.create_task(ledger.find("c1"))
    await asyncio.sleep(0)
    gate.set()
    assert await asker == Succeeded("late")


async def test_unknown_calls_are_none():
    """A call that never came is told apart from every outcome."""
    assert await CallLedger(Seconds()).find("never") is None


async def test_asking_shuts_older_owners_out():
    """After an owner with fence 3 asked, calls of the run with a lower fence are refused."""
    ledger = CallLedger(Seconds())
    await ledger.find("c1", run_id="r", fence=3)
    await ledger.find("c1", run_id="r", fence=2)
    assert ledger.is_fenced_out(call(fence=2))
    assert not ledger.is_fenced_out(call(fence=3))
    assert not ledger.is_fenced_out(call(fence=1, run_id="other"))


async def test_outcomes_are_kept_ten_minutes():
    """An unacknowledged outcome can be asked for until it is ten minutes old; an acknowledged one cannot."""
    seconds = Seconds()
    ledger = CallLedger(seconds)
    await ledger.once(call("a"), done("a"))
    await ledger.once(call("b"), done("b"))
    ledger.acknowledge(["b"])
    seconds.now = 599.0
    assert await ledger.find("a") == Succeeded("a")
    assert await ledger.find("b") is None
    seconds.now = 601.0
    assert await ledger.find("a") is None


async def test_what_was_forgotten_is_not_called_never_made():
    """For a call as old as an outcome that was forgotten the answer is Unknown; for a younger one still None."""
    seconds = Seconds()
    ledger = CallLedger(seconds)
    await ledger.once(call("a"), done("a"))
    seconds.now = 700.0
    assert isinstance(await ledger.find("a", age_s=700.5), Unknown)
    assert await ledger.find("b", age_s=10.0) is None


async def test_outcomes_are_bounded(monkeypatch):
    """The oldest outcomes go first when there are too many of them, or too much in them."""
    monkeypatch.setattr(module, "max_finished", 2)
    monkeypatch.setattr(module, "max_bytes", 100)
    ledger = CallLedger(Seconds())
    for name in "abc":
        await ledger.once(call(name), done(name))
    assert [await ledger.find(name) for name in "abc"] == [None, Succeeded("b"), Succeeded("c")]
    await ledger.once(call("d"), done("d", size=95))
    assert await ledger.find("c") is None
    assert await ledger.find("d") == Succeeded("d")
