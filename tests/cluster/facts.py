"""Waiting for facts: no test sleeps, each asks again until something is true or its time is over."""

import asyncio
import inspect
import time

_again_s = 0.05


async def until(fact, within_s, what="it"):
    """The first truthy answer of `fact()`, which may be a coroutine function; fails after `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        found = fact()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} did not happen within {within_s} s"
        await asyncio.sleep(_again_s)
