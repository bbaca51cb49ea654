"""One user's flood, or hanging service, and another user beside it (durability, 12.1).

On a whole service, with figures: what the other user notices is printed, and bounded.
"""

import asyncio
import statistics
import sys
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from taske_ray import Taske, action, task, webhook
from tests.bench.load import Plan, generate
from tests.bench.service import temporary
from tests.bench.stand import BODIES, Stub
from tests.cluster.receiver import Answer
from tests.facts import until
from tests.faults.witness import Witness

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600, func_only=True)]

MEASURED_S, RATE = 15.0, 10.0
NOISE_S = 0.03
"""What a moment of another program on the machine costs the slowest twentieth."""


@dataclass
class Person:
    """A user with an API key, and a task of theirs behind a hook."""

    service: object
    key: str
    task_id: str = ""
    hook: str = ""

    def listens(self, address):
        """Save a task that tells an address of each delivery."""
        step = action("http.request", method="POST", url=address, body={"n": "{{ trigger.output.body.n }}"})
        with Taske(self.service.url, self.key) as taske:
            saved = taske.tasks.create(task("Fair").when(webhook()).then(step))
        self.task_id = saved.id
        self.hook = f"{self.service.url}/hooks/{saved.trigger.hook_url.rpartition('/')[2]}"

    def runs(self):
        """The rows of this person's runs."""
        return Witness(self.service.data_dir, [self.task_id]).runs()


def told(text):
    """A figure for whoever reads the test's output."""
    sys.stdout.write(f"\n{text}\n")


@contextmanager
def two_people(receiver, **settings):
    """A service, and two of its users."""
    with temporary(Stub(0, receiver.port), **settings) as service:
        service.start()
        yield tuple(Person(service, service.create_user(f"{name}@example.com")) for name in ("ann", "ben"))


async def latencies(sender, receiver, address):
    """Seconds from each delivery's moment to its arrival behind the service."""
    sent = await generate(Plan(sender.hook, BODIES, clients=8, seconds=MEASURED_S, rate=RATE))
    assert sent.statuses.keys() == {202}

    def all_arrived():
        arrived = {one.key.partition(":")[0]: one.at for one in receiver.at(address)}
        return arrived if sent.accepted.keys() <= arrived.keys() else None

    arrived = await until(all_arrived, 30, "every delivery", again_s=0.1)
    return [arrived[run] - began / 1e9 for run, (began, _) in sent.accepted.items()]


def slowest_twentieth(values):
    """The 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]


async def test_a_hanging_service_costs_its_own_user_alone(receiver):
    """While six hundred calls of one user hang, the slowest twentieth of the other's waits at most a fifth longer."""
    with two_people(receiver) as (ann, ben):
        ann.listens(receiver.serve(Answer(hang=True)))
        address = receiver.serve(Answer())
        ben.listens(address)
        await latencies(ben, receiver, address)  # warm
        alone = slowest_twentieth(await latencies(ben, receiver, address))
        await generate(Plan(ann.hook, BODIES, clients=16, count=600))
        beside = slowest_twentieth(await latencies(ben, receiver, address))
    told(f"alone {alone * 1e3:.0f} ms, beside 600 hanging calls {beside * 1e3:.0f} ms")
    assert beside <= 1.2 * alone + NOISE_S


@pytest.mark.parametrize("limits", ["public", "default"])
async def test_a_flood_costs_its_own_user_alone(receiver, limits):
    """A thousand deliveries a second to one hook: 429 beyond what is kept, a run for each 202, no broken one.

    The other user's deliveries meanwhile are all accepted, and run.
    """
    with two_people(receiver, TASKE_LIMITS=limits) as (ann, ben):
        ann.listens(receiver.serve(Answer()))
        address = receiver.serve(Answer())
        ben.listens(address)
        await latencies(ben, receiver, address)  # warm
        alone = slowest_twentieth(await latencies(ben, receiver, address))
        flood = Plan(ann.hook, BODIES, clients=64, seconds=MEASURED_S, rate=1000)
        sent, waits = await asyncio.gather(generate(flood), latencies(ben, receiver, address))
        beside = slowest_twentieth(waits)
        await until(lambda: len(ann.runs()) >= len(sent.accepted), 60, "a run for each 202", again_s=0.5)
        runs = ann.runs()
    statuses = dict(sorted(sent.statuses.items()))
    told(f"flood {statuses}, {sent.broken} broken; the other user {beside * 1e3:.0f} ms, alone {alone * 1e3:.0f} ms")
    assert {run.run_id for run in runs} == set(sent.accepted)
    assert (sent.broken, sent.statuses.keys() <= {202, 429}) == (0, True)
    if limits == "public":
        assert sent.statuses[429] > sent.statuses[202]
        assert sent.statuses[202] <= 100 + 30 * (MEASURED_S + 2)
    assert beside < 5.0
