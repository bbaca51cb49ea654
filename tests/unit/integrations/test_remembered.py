"""A provider's document that many ask for at once."""

import asyncio

import pytest

from taske_ray.integrations.sign_in.identity import ProviderAway
from taske_ray.integrations.sign_in.remembered import Remembered, first_pause_s, fresh_s, pause_s


class Provider:
    """A provider that answers when a test says so, with how often it was asked; and the clock of who asks it."""

    def __init__(self):
        self.now = 1000.0
        self.asked = 0
        self.asking = [asyncio.Event(), asyncio.Event()]
        self.away = False
        self.may_answer = asyncio.Event()
        self.remembered = Remembered(self.fetch, monotonic=self.monotonic)

    def monotonic(self):
        """Seconds."""
        self.now += 0.001  # no two who ask do so at the same moment
        return self.now

    async def fetch(self):
        """The answer."""
        self.asking[self.asked].set()
        self.asked += 1
        number, away = self.asked, self.away
        await self.may_answer.wait()
        if away:
            raise ProviderAway
        return number

    def get(self, **how):
        """Begin to ask."""
        return asyncio.ensure_future(self.remembered.get(**how))


@pytest.fixture
def provider():
    return Provider()


async def begun(provider, times):
    """Until the provider has been asked so often."""
    async with asyncio.timeout(5):
        await provider.asking[times - 1].wait()


async def test_who_comes_while_the_first_look_is_in_hand_waits_for_it(provider):
    """Nobody is told that the provider is away before it had its time to answer, and it is asked once."""
    first = provider.get()
    await begun(provider, 1)
    later = [provider.get() for _ in range(5)]
    await asyncio.sleep(0)
    provider.may_answer.set()
    assert await asyncio.gather(first, *later) == [1] * 6


async def test_a_look_that_fails_fails_for_all_who_waited(provider):
    """They do not ask a provider that is away one after the other; who comes after the pause does."""
    provider.away = True
    asked = [provider.get()]
    await begun(provider, 1)
    asked += [provider.get() for _ in range(5)]
    await asyncio.sleep(0)
    provider.now += 10.0  # longer than the pause
    provider.may_answer.set()
    refused = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(each) for each in refused} == {ProviderAway}
    with pytest.raises(ProviderAway):
        await provider.get()
    assert provider.asked == 1
    provider.away = False
    provider.now += first_pause_s
    assert await provider.get() == 2


async def test_who_gives_up_leaves_the_look_to_the_next(provider):
    """A request that ended while it looked says nothing of the provider."""
    first = provider.get()
    await begun(provider, 1)
    second = provider.get()
    await asyncio.sleep(0)
    first.cancel()
    await begun(provider, 2)
    provider.may_answer.set()
    assert await second == 2


async def test_an_old_document_serves_while_a_new_one_is_fetched(provider):
    """One request fetches; the others have the old one at once, but for those that it lacks something."""
    provider.may_answer.set()
    assert await provider.get() == 1
    provider.may_answer.clear()
    provider.now += max(fresh_s, pause_s)
    fetching = provider.get()
    await begun(provider, 2)
    assert await provider.get() == 1
    lacking = provider.get(newer=True)
    await asyncio.sleep(0)
    assert not lacking.done()
    provider.may_answer.set()
    assert await asyncio.gather(fetching, lacking) == [2, 2]
    assert provider.asked == 2
