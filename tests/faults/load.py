"""A sender's load around what a test does to the service meanwhile, and what must hold whatever that is."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.sender import Sender
from tests.faults.stand import Stand

RATE = 5
WARM = 15


def under_load(stand: Stand, folder: Path, act: Callable[[], None], **hook: Any) -> Sender:
    """Do it while deliveries come in, and wait until they are answered again; the sender, all of it judged.

    No delivery hung, and everything that was acknowledged has run, with each repetition explained. `hook` are options
    of the task that is delivered to.
    """
    sender = Sender(f"{stand.service.url}{stand.hook(**hook)}", folder / "acknowledged", random.Random(1))
    asyncio.run(_scene(stand, sender, act))
    stand.offered, stand.acknowledged = sender.offered, sender.acknowledged
    assert sender.answers["hang"] == 0, sender.answers
    stand.until(lambda: all(run.status == "succeeded" for run in stand.runs()), 60, "every run's end")
    verdict = stand.judged()
    assert verdict.holds, verdict.wrong
    assert verdict.unexplained == 0
    return sender


async def _scene(stand: Stand, sender: Sender, act: Callable[[], None]) -> None:
    load = asyncio.create_task(sender.send(RATE, 600, last_answers_s=60))

    async def more() -> None:
        count = len(sender.acknowledged)
        await asyncio.to_thread(
            stand.until, lambda: len(sender.acknowledged) > count + WARM, 60, "answers to deliveries"
        )

    try:
        await more()
        await asyncio.to_thread(act)
        await more()
    finally:
        sender.stop()
        await load
