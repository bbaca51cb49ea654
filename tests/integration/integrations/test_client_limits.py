"""How often and how many at once a client calls: limits, shares, breakers, and the budget for repetitions."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import pytest

from taske_ray.clock import SystemClock
from taske_ray.core.outcome import ErrorClass, Failed, Succeeded
from taske_ray.core.retry import is_counted
from taske_ray.limits import Limits
from tests.integration.integrations.chat import BOB, closes, says, world
from tests.integration.integrations.conftest import reply


async def test_a_429_pauses_its_kind_only():
    """After "slow down" the same capability waits without sending; another one does not."""
    async with world(says({"items": []}, "429 Slow", "Retry-After: 60")) as w:
        first = await w.perform(id="a")
        assert (first.error_class, first.retry_after_s, first.sent) == (ErrorClass.RATE_LIMITED, 60.0, True)
        second = await w.perform(id="b")
        assert (second.error_class, second.sent) == (ErrorClass.RATE_LIMITED, False)
        assert 55 < second.retry_after_s <= 60
        assert (await w.perform("chat.list", id="c")).sent
        assert len(w.server.received) == 2


async def test_declared_limits_hold():
    """Two per minute and room: the third in one room waits in the database, another room goes on."""
    limits = [{"scope": "param:room", "limit": 2, "per": "PT1M"}]
    async with world(says({"id": 1}), rate_limits=limits) as w:
        rooms = ["a", "a", "a", "b"]
        outcomes = [await w.perform(id=f"c{n}", params={"room": room}) for n, room in enumerate(rooms)]
    assert [isinstance(outcome, Succeeded) for outcome in outcomes] == [True, True, False, True]
    assert (outcomes[2].code, outcomes[2].sent, outcomes[2].retry_after_s > 50) == ("rate_limited", False, True)


async def test_a_short_wait_is_waited():
    """A wait of less than a second is no failure."""
    async with world(says({"id": 1}), rate_limits=[{"scope": "connection", "limit": 1, "per": "PT0.2S"}]) as w:
        outcomes = [await w.perform(id=f"c{n}") for n in range(3)]
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes)


async def test_nobody_fills_a_host_alone():
    """Beyond the cap of one user at one host a call is put off; another user's goes."""
    gate, arrived = asyncio.Event(), asyncio.Event()

    async def answer(_, writer):
        arrived.set()
        await gate.wait()
        writer.write(reply(b'{"id": 1}', "Content-Type: application/json"))

    async with world(answer, limits=Limits(calls_in_flight=1)) as w:
        slow = asyncio.create_task(w.perform(id="slow"))
        await arrived.wait()
        refused = await w.perform(id="more")
        bobs = asyncio.create_task(w.perform(id="bobs", user_id=BOB, connection_id=None))
        assert (refused.code, refused.sent) == ("too_many_in_flight", False)
        gate.set()
        assert isinstance(await slow, Succeeded)
        assert isinstance(await bobs, Succeeded)


async def test_a_user_may_call_a_host_so_often_a_second():
    """Ten a second go, what is beyond that waits; another user has calls of their own."""
    async with world(says({"id": 1}), limits=Limits(calls_per_s=10)) as w:
        outcomes = await asyncio.gather(*(w.perform(id=f"c{n}") for n in range(25)))
        bobs = await w.perform(id="bobs", user_id=BOB, connection_id=None)
    late = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    assert len(w.server.received) == 21
    assert {(one.code, one.sent, is_counted(one)) for one in late} == {("rate_limited", False, False)}
    assert isinstance(bobs, Succeeded)


@dataclass
class Clock(SystemClock):
    """A clock whose seconds a test moves on; waiting is as it is."""

    ahead_s: float = 0.0

    def monotonic(self):
        """Seconds, and those that the test added."""
        return super().monotonic() + self.ahead_s


@pytest.mark.parametrize(
    ("answer", "opens"),
    [
        (says({}, "500 Oops"), True),
        (says({}, "503 Away", "Retry-After: 1"), True),
        (closes, True),
        (says({}, "429 Slow"), False),
        (says({}, "404 No"), False),
        (says({"id": 1}), False),
    ],
    ids=["500", "503", "closed", "429", "404", "200"],
)
async def test_a_host_in_trouble_is_left_alone(answer, opens):
    """After twenty failures nothing is sent for thirty seconds, then one probe; a 4xx is an answer."""
    clock = Clock()
    async with world(answer, clock=clock) as w:
        for n in range(20):
            await w.perform(id=f"c{n}")
        seen = len(w.server.received)
        behind = await w.perform(id="behind")
        assert (len(w.server.received) == seen) is opens
        if not opens:
            return
        assert (behind.code, behind.sent, is_counted(behind)) == ("breaker_open", False, False)
        assert 25 < behind.retry_after_s <= 35
        other = await w.perform(id="bobs", user_id=BOB, connection_id=None)
        assert other.code != "breaker_open"
        seen = len(w.server.received)
        clock.ahead_s = 31.0
        outcomes = await asyncio.gather(*(w.perform(id=f"later{n}") for n in range(5)))
        assert len(w.server.received) == seen + 1
        assert sum(one.code == "breaker_open" for one in outcomes) == 4


async def test_nobody_there_is_trouble_too():
    """Connections that are refused open a breaker like answers with 500."""
    async with world(says({})) as w:
        pass
    async with world(says({})) as other:
        other.client._capabilities = w.capabilities
        outcomes = [await other.perform(id=f"c{n}") for n in range(21)]
    assert [one.code for one in outcomes[:20]] == ["connect_failed"] * 20
    assert outcomes[20].code == "breaker_open"


async def test_three_users_in_trouble_close_a_host_to_all():
    """Three users whose calls fail keep a fourth from trying, too."""
    async with world(says({}, "500 Oops")) as w:
        for n in range(21):
            await w.perform(id=f"c{n}", user_id=UUID(int=100 + n % 3), connection_id=None)
        outcome = await w.perform(id="fourth", user_id=UUID(int=200), connection_id=None)
    assert outcome.code == "breaker_open"


async def test_repeated_calls_have_a_budget():
    """Beyond one a second and a tenth of the first ones a retry waits; a first attempt goes."""
    async with world(says({}, "404 No")) as w:  # no breaker opens for it
        outcomes = [await w.perform(id=f"c{n}", is_retry=True) for n in range(12)]
        first = await w.perform(id="first")
    assert [one.code for one in outcomes].count("retry_budget") <= 2
    assert first.code != "retry_budget"
