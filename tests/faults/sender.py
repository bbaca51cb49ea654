"""A sender as they should be: repeats a delivery under the same id until it is acknowledged, and keeps a log of that.

One delivery in thirty is sent again after its acknowledgement: the answer must name the same run.
"""

import asyncio
import contextlib
import itertools
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from tests.faults.oracle import Acknowledged

_again_s: Final = 1.0
_hang_s: Final = 8.0
"""No answer in that time is a hang: the service has to refuse sooner (durability, 9.5)."""
_repeated: Final = 1 / 30


class Sender:
    """Sends at a steady rate. `offered` are the ids it has sent, `answers` counts what came back by status."""

    def __init__(self, url: str, log: Path, chance: random.Random) -> None:
        self._url = url
        self._log = log.open("ab", buffering=0)
        self._chance = chance
        self.offered: list[str] = []
        self.acknowledged: list[Acknowledged] = []
        self.answers: Counter[int | str] = Counter()
        self._on_their_way: set[asyncio.Task[None]] = set()
        self._stopped = False

    def stop(self) -> None:
        """Offer nothing more."""
        self._stopped = True

    async def send(self, rate: float, seconds: float, *, last_answers_s: float) -> None:
        """Offer `rate` deliveries a second, then wait for the last acknowledgements."""
        began = time.monotonic()
        limits = aiohttp.ClientTimeout(total=_hang_s)
        async with aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=500)) as session:
            for number in itertools.count():
                at = began + number / rate
                if at > began + seconds or self._stopped:
                    break
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                self._start(session, f"e{number}")
            if self._on_their_way:
                await asyncio.wait(self._on_their_way, timeout=last_answers_s)
            for task in list(self._on_their_way):
                task.cancel()

    @property
    def longest_silence_s(self) -> float:
        """The longest time between two acknowledgements."""
        ats = sorted(one.at for one in self.acknowledged)
        return max((later - earlier for earlier, later in itertools.pairwise(ats)), default=0.0)

    def _start(self, session: aiohttp.ClientSession, event: str) -> None:
        self.offered.append(event)
        task = asyncio.create_task(self._deliver(session, event, again=self._chance.random() < _repeated))
        self._on_their_way.add(task)
        task.add_done_callback(self._on_their_way.discard)

    async def _deliver(self, session: aiohttp.ClientSession, event: str, *, again: bool) -> None:
        for _ in range(2 if again else 1):
            while (run_id := await self._post(session, event)) is None:  # noqa: ASYNC110 - a sender has no event
                await asyncio.sleep(_again_s)
            self._note(Acknowledged(event, run_id, time.monotonic()))

    async def _post(self, session: aiohttp.ClientSession, event: str) -> str | None:
        try:
            async with session.post(self._url, json={"event": event}, headers={"webhook-id": event}) as answer:
                self.answers[answer.status] += 1
                if answer.status < 300:
                    return str(orjson.loads(await answer.read())["run_id"])
        except TimeoutError:
            self.answers["hang"] += 1
        except aiohttp.ClientConnectorError:
            self.answers["refused"] += 1
        except (aiohttp.ClientError, ValueError):
            self.answers["broken"] += 1
        return None

    def _note(self, one: Acknowledged) -> None:
        self.acknowledged.append(one)
        self._log.write(orjson.dumps(one) + b"\n")
        with contextlib.suppress(OSError):
            os.fdatasync(self._log.fileno())
