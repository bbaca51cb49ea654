"""A deadline that holds whatever the work does with its cancellation.

`asyncio.timeout` waits until the cancelled work has ended. A driver takes its time over that: psycopg first asks the
server to cancel the statement, for up to ten seconds, and a server that hangs answers that no sooner.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")
_abandoned: set[asyncio.Task[Any]] = set()


async def within(seconds: float, work: Coroutine[Any, Any, Result]) -> Result:
    """What `work` returns or raises. Raises TimeoutError after `seconds`; the work is told to end by itself then."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        if not task.done():
            _abandon(task)
    if not task.done():
        raise TimeoutError
    return task.result()


def _abandon(task: asyncio.Task[Any]) -> None:
    _abandoned.add(task)  # the loop itself would let it go
    task.add_done_callback(_ended)
    task.cancel()


def _ended(task: asyncio.Task[Any]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # nobody waits for it any more
