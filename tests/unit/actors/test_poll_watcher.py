"""PollWatcher: first it seeds, then each new item is one run; races, failures and full queues lose nothing."""

from dataclasses import replace

import pytest

from actors.watchers.poll import PollWatcher
from taske_ray.catalog.registry import load_modules
from taske_ray.core.outcome import ErrorClass, Failed, Fetched, PolledItem, Succeeded, Unknown

POLL = load_modules()["http"].capabilities["http.poll"]
AWAY = Failed(ErrorClass.TRANSIENT, "http_error", "503", http_status=503)


def page(*keys, **more):
    """What a check fetched: an item per key, the newest first as in most lists."""
    return Fetched(tuple(PolledItem(key, {"item": key}) for key in keys), **more)


@pytest.fixture
async def watcher(world):
    """The watcher of a list that is read once a minute."""
    trigger = world.trigger("poll", spec={"url": "https://api.example/list", "every": "PT1M"})
    return PollWatcher(trigger, POLL, world.ports, reload=world.reload)


async def check(world, watcher, outcome):
    """Let the watcher make one check at the moment it is due."""
    world.outcomes.append(outcome)
    world.clock.advance(max(0.0, watcher.due_at - world.now().timestamp()))
    before = len(world.fired)
    await watcher.act()
    return [fire.fire_key for fire in world.fired[before:]]


async def test_the_first_check_is_at_once_and_only_learns(world, watcher):
    """What is there at the beginning is known afterwards and fires nothing."""
    assert watcher.due_at == world.now().timestamp()
    assert await check(world, watcher, page("b", "a")) == []
    assert world.ledger == {("a", ""), ("b", "")}
    assert watcher.due_at == world.now().timestamp() + 60


async def test_then_every_new_item_fires_once(world, watcher):
    """New items become runs with their output, are begun on their host, and are known from then on."""
    await check(world, watcher, page("a"))
    assert set(await check(world, watcher, page("c", "b", "a"))) == {"b", "c"}
    assert [fire.input["item"] for fire in world.fired] == [fire.fire_key for fire in world.fired]
    assert len(world.begun) == 2
    assert {fire.host for fire in world.fired} == {world.host}
    assert await check(world, watcher, page("c", "b", "a")) == []


async def test_a_call_is_bounded_and_carries_the_trigger(world, watcher):
    """Each check has an id of its own, the pinned version, the parameters and a deadline."""
    await check(world, watcher, page())
    await check(world, watcher, page())
    first, second = world.calls
    assert first.id != second.id
    assert (first.user_id, first.version, first.params) == (world.row.user_id, 1, world.row.spec)
    assert first.timeout_s == 60
    assert (first.lease_ends_at, first.host) == (world.ends_at, world.host_id)


async def test_nothing_is_asked_without_a_lease(world, watcher):
    """A process that slept over its lease leaves the list alone: others may watch it by now."""
    world.clock.advance(world.ends_at - world.now().timestamp())
    await watcher.act()
    assert world.calls == world.failures == []
    assert watcher.due_at == world.now().timestamp() + 1


async def test_a_check_that_lost_the_race_begins_again_from_the_row(world, watcher):
    """Another watcher moved the cursor meanwhile: the page is discarded, and the next check is at once."""
    await check(world, watcher, page("a"))

    def overtaken():
        world.row = replace(world.row, cursor_version=world.row.cursor_version + 1)
        world.ledger.add(("b", ""))
        return page("b", "a")

    assert await check(world, watcher, overtaken) == []
    assert watcher.due_at == world.now().timestamp()
    assert await check(world, watcher, page("b", "a")) == []


async def test_failures_back_off_and_leave_the_cursor(world, watcher):
    """Failures in a row wait 1, 2, 4, 8, 8 minutes and are on record; a good check sets the pause back."""
    await check(world, watcher, page("a"))
    cursor = world.row.cursor
    waits = []
    for outcome in (AWAY, Unknown("cut off"), AWAY, AWAY, AWAY):
        began = max(watcher.due_at, world.now().timestamp())
        await check(world, watcher, outcome)
        waits.append((watcher.due_at - began) / 60)
    assert waits == [1, 2, 4, 8, 8]
    assert [one["error"]["code"] for one in world.failures][:2] == ["http_error", "unknown_outcome"]
    assert world.row.cursor == cursor
    assert await check(world, watcher, page("b", "a")) == ["b"]
    assert watcher.due_at == world.now().timestamp() + 60


async def test_an_ordered_wait_is_obeyed(world, watcher):
    """A service that says when to come back is not asked before."""
    limited = Failed(ErrorClass.RATE_LIMITED, "http_error", "429", http_status=429, retry_after_s=900)
    await check(world, watcher, limited)
    assert watcher.due_at == world.now().timestamp() + 900


async def test_a_full_queue_is_asked_again_later(world, watcher):
    """Nothing of the page was taken: the same items fire when there is room."""
    await check(world, watcher, page("a"))
    world.full = True
    assert await check(world, watcher, page("b", "a")) == []
    assert watcher.due_at == world.now().timestamp() + 60
    world.full = False
    assert await check(world, watcher, page("b", "a")) == ["b"]


async def test_nothing_modified_is_an_ordinary_check(world, watcher):
    """A 304 fires nothing and is no failure."""
    await check(world, watcher, page("a"))
    assert await check(world, watcher, page(not_modified=True)) == []
    assert world.failures == []
    assert watcher.due_at == world.now().timestamp() + 60


@pytest.mark.parametrize("how", ["disabled", "edited"])
async def test_a_watcher_of_yesterday_rests(world, watcher, how):
    """When the trigger is disabled or in another version, no call is made; the watcher looks again each second."""
    world.row = None if how == "disabled" else replace(world.row, version=2)
    await watcher.act()
    assert (world.calls, watcher.due_at) == ([], world.now().timestamp() + 1)


async def test_an_answer_that_is_no_page_is_a_failure_of_the_watcher(world, watcher):
    """A poll that is answered like an action is a bug, and its host makes the watcher afresh."""
    world.outcomes.append(Succeeded({}))
    with pytest.raises(TypeError):
        await watcher.act()


async def test_a_new_watcher_goes_on_from_the_row(world, watcher):
    """Nothing of the cursor lives in the watcher: another one fires what is new, and only that."""
    await check(world, watcher, page("a"))
    successor = PollWatcher(world.row, POLL, world.ports, reload=world.reload)
    assert await check(world, successor, page("b", "a")) == ["b"]
