"""Two complete services on one database, loaded at both front doors from four kinds of trigger.

Every delivery and every start by hand goes to both doors under the same id: both have to name the same run. Schedule
and list are watched in both services: an instant and an item are one run all the same.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections import Counter

import httpx

from taske_ray.launcher import processes
from tests.cluster.receiver import Answer
from tests.facts import until
from tests.faults.load import WARM
from tests.faults.oracle import Acknowledged, Schedule
from tests.faults.recovery import recoveries
from tests.faults.saboteur import Fault
from tests.faults.sender import Sender
from tests.faults.stand import Stand

RATE = 3
EVERY_S = 1
SCHEDULE = {"capability": "system.schedule.interval", "params": {"every": f"PT{EVERY_S}S"}}
ITEM_S, BY_HAND_S = 0.7, 0.7
FEW = 3  # before and after what is done to the services
LAST_ANSWERS_S, QUIET_S = 120, 90


class Load:
    """One load on both services: a stand for each kind of trigger; `senders` are those of either door."""

    def __init__(self, services, receiver, folder):
        self._services = services
        self._receiver = receiver
        self._folder = folder
        self._opened = contextlib.ExitStack()
        self._hook, self._schedule, self._list, self._hand = (
            self._opened.enter_context(Stand(services[0], receiver)) for _ in range(4)
        )
        self.kinds = {"hook": self._hook, "schedule": self._schedule, "list": self._list, "hand": self._hand}
        self.faults = []
        self._items = []

    def __enter__(self):
        hook = self._hook.hook()
        self.senders = [
            Sender(f"{service.url}{hook}", self._folder / f"acknowledged{number}", random.Random(number))
            for number, service in enumerate(self._services)
        ]
        self._timed = self._schedule.task(SCHEDULE, "{{ trigger.output.scheduled_at }}")
        self._listed = self._receiver.serve(Answer([{"id": "first"}]))
        poll = {"capability": "http.poll", "params": {"url": self._listed, "key": "id", "every": "PT1S"}}
        self._list.task(poll, "{{ trigger.output.item.id }}")
        self._started = self._hand.task({"capability": "system.manual"}, "{{ trigger.output.event }}")["id"]
        self._list.until(lambda: len(self._receiver.at(self._listed)) >= 2, 30, "polling")
        return self

    def __exit__(self, *_):
        self._opened.close()

    def during(self, act):
        """Do it while events come at both doors, then wait until they are taken again and all is over."""
        asyncio.run(self._scene(act))

    def kill(self, service):
        """`kill -9` of every process of a service, each by its id."""
        doomed = processes.marked(service.data_dir)
        at = time.monotonic()
        service.kill()
        processes.kill(doomed)
        self.faults.append(Fault(at, at, "service", "kill", 0))

    def check(self):
        """O1 to O8 for each kind of trigger, nobody left hanging; the slowest that a run went on after a fault."""
        due = {"schedule": self._schedule.schedule(EVERY_S), "list": Schedule(self._items, 0)}
        for kind, stand in self.kinds.items():
            verdict = stand.judged(schedule=due.get(kind))
            assert verdict.holds, (kind, verdict.wrong)
            assert (verdict.lost, verdict.unexplained, verdict.parked) == (0, 0, 0), (kind, verdict)
            assert verdict.accepted >= 2 * FEW, (kind, verdict)
        assert not any(sender.answers["hang"] for sender in self.senders)
        return max(
            recoveries(stand.acknowledged, stand.receipts(), self.faults).slowest_s for stand in self.kinds.values()
        )

    def each_step_once(self):
        """No outcome is unknown, and nothing was sent twice."""
        for kind, stand in self.kinds.items():
            states = Counter(one.status for run in stand.runs() for step in run.attempts.values() for one in step)
            assert not states["unknown"], (kind, states)
            twice = Counter((one.event, one.step) for one in stand.receipts())
            assert set(twice.values()) == {1}, (kind, twice.most_common(3))

    async def _scene(self, act):
        ends = asyncio.Event()
        sending = [asyncio.create_task(one.send(RATE, 600, last_answers_s=LAST_ANSWERS_S)) for one in self.senders]
        feeding = [asyncio.create_task(self._feed(ends)), asyncio.create_task(self._start_by_hand(ends))]
        try:
            await self._more()
            await asyncio.to_thread(act)
            await self._more()
        finally:
            ends.set()
            for sender in self.senders:
                sender.stop()
            await asyncio.gather(*sending, *feeding)
        self._hook.offered = sorted({event for sender in self.senders for event in sender.offered})
        self._hook.acknowledged = [one for sender in self.senders for one in sender.acknowledged]
        self._schedule.ask("POST", f"/api/v1/tasks/{self._timed['id']}/disable")
        await until(self._quiet, QUIET_S, self._left, again_s=0.5)

    async def _more(self):
        """Both doors take what comes, and starts by hand."""
        before = [len(sender.acknowledged) for sender in self.senders]
        started = len(self._hand.acknowledged)

        def taken():
            delivered = all(len(one.acknowledged) > n + WARM for one, n in zip(self.senders, before, strict=True))
            return delivered and len(self._hand.acknowledged) >= started + 2 * FEW

        await until(taken, LAST_ANSWERS_S, "answers at both doors")

    async def _feed(self, ends):
        """One item more on the list, again and again."""
        items = [{"id": "first"}]
        while not ends.is_set():
            items.append({"id": f"item{len(items)}"})
            self._items.append(items[-1]["id"])
            self._receiver.answer(self._listed, Answer(items[-200:]))
            await _pause(ends, ITEM_S)

    async def _start_by_hand(self, ends):
        login = {"authorization": f"Bearer {self._services[0].api_key}"}
        async with httpx.AsyncClient(headers=login, timeout=15) as http:
            for number in itertools.count():
                if ends.is_set():
                    return
                key = f"{self._started}-{number}"  # each load has a task of its own, and a key is for one request
                await asyncio.gather(*(self._start(http, service, key) for service in self._services))
                await _pause(ends, BY_HAND_S)

    async def _start(self, http, service, key):
        """Start the task with this key at one door until it says which run that is."""
        event = f"manual:{key}"
        if event not in self._hand.offered:
            self._hand.offered.append(event)
        path = f"{service.url}/api/v1/tasks/{self._started}/run"

        async def answered():
            answer = await http.post(path, json={"input": {"event": event}}, headers={"idempotency-key": key})
            return answer if answer.status_code == 202 else None

        answer = await until(
            answered, LAST_ANSWERS_S, f"a start at {service.url}", despite=httpx.HTTPError, again_s=0.5
        )
        self._hand.acknowledged.append(Acknowledged(event, answer.json()["run_id"], time.monotonic()))

    def _quiet(self):
        """Every run has succeeded, and every item that was listed is one."""
        taken = {run.event for run in self._list.runs()}
        return not self._left() and taken >= set(self._items)

    def _left(self):
        return {
            kind: left
            for kind, stand in self.kinds.items()
            if (left := [run for run in stand.runs() if run.status != "succeeded"])
        }


async def _pause(ends, seconds):
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ends.wait(), seconds)
