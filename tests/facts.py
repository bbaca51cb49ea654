"""Waiting for facts: no test sleeps, each asks again until something is true or its time is over."""

import asyncio
import inspect
import time

_again_s = 0.05


class TooLate(AssertionError):
    """A fact that was waited for did not come true in time."""


async def until(fact, within_s, what, *, despite=(), again_s=_again_s):
    """The first truthy answer of `fact()`, which may be a coroutine function. Raises TooLate.

    `what` is waited for: a text, or what makes one for a report at the end. `despite`: errors that mean "not yet".
    """
    deadline, trouble = time.monotonic() + within_s, None
    while True:
        try:
            found = fact()
            if inspect.isawaitable(found):
                found = await found
        except despite as error:
            found, trouble = None, error
        if found:
            return found
        _check(deadline, within_s, what, trouble)
        await asyncio.sleep(again_s)


def wait_until(fact, within_s, what, *, despite=(), again_s=_again_s):
    """The same without a loop, for a plain function."""
    deadline, trouble = time.monotonic() + within_s, None
    while True:
        try:
            found = fact()
        except despite as error:
            found, trouble = None, error
        if found:
            return found
        _check(deadline, within_s, what, trouble)
        time.sleep(again_s)


def _check(deadline, within_s, what, trouble):
    if time.monotonic() >= deadline:
        raise TooLate(f"waited {within_s} s in vain for {what() if callable(what) else what}") from trouble
