"""A deadline holds against work that takes its time over being cancelled."""

import asyncio
import time

import pytest

from taske_ray.deadline import within
from taske_ray.testing import eventually


class Stubborn:
    """Work that goes on after its cancellation until it is let go."""

    def __init__(self):
        self.cancelled = False
        self.let_go = asyncio.Event()
        self.ended = False

    async def work(self):
        """Wait for ever, and then longer."""
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled = True
            await self.let_go.wait()
            self.ended = True


async def test_the_deadline_holds_though_the_work_does_not_end():
    """TimeoutError comes in time; the work has been told, and ends when it can."""
    stubborn = Stubborn()
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await within(0.05, stubborn.work())
    assert time.monotonic() - began < 2
    await eventually(lambda: stubborn.cancelled)
    stubborn.let_go.set()
    await eventually(lambda: stubborn.ended)


async def test_whoever_waits_may_be_cancelled():
    """The work is told to end with its waiter, and the waiter does not wait for it."""
    stubborn = Stubborn()
    waiter = asyncio.create_task(within(60, stubborn.work()))
    await asyncio.sleep(0)
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    await eventually(lambda: stubborn.cancelled)
    stubborn.let_go.set()


async def test_what_the_work_returns_and_raises_comes_through():
    """In time, nothing is changed."""

    async def fails():
        raise KeyError("k")

    assert await within(60, asyncio.sleep(0, "done")) == "done"
    with pytest.raises(KeyError):
        await within(60, fails())
