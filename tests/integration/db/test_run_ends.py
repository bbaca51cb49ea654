"""Ends of runs: on record with the run's own transaction, told once to each listener, and mailed once an hour."""

import asyncio

import pytest

from taske_ray.core.ids import format_id
from taske_ray.db import hosts
from taske_ray.db.run_ends import RunEnds
from taske_ray.db.runs import Advance
from taske_ray.services.failures import Failures, letter_about

pytestmark = pytest.mark.integration
ERROR = {"class": "invalid", "code": "http_error", "message": "No.", "step": "action1"}
LISTENS = "system.run.failed"


@pytest.fixture
def failures(world):
    """What tells."""
    return Failures(RunEnds(world.engine), world.fires)


async def listener(world, user_id, *tasks):
    """An enabled trigger that listens to these tasks of its user, or to all."""
    trigger = await world.trigger("internal", user_id=user_id)
    spec = [format_id("task", task) for task in tasks]
    await world.rows(
        "UPDATE triggers SET capability = %(name)s, spec = jsonb_build_object('tasks', %(tasks)s::text[])"
        " WHERE id = %(id)s",
        name=LISTENS,
        tasks=spec,
        id=trigger.id,
    )
    return trigger


async def ended(world, trigger, status="failed", key="k", given=None):
    """A run of that trigger, ended like this."""
    host = await world.host()
    run = (await world.fires.fire(world.event(trigger, key, host=host, input=given or {}))).assigned
    assert (await world.store(host).advance(Advance(run.run_id, run.fence, status, error=ERROR))).owned
    return run


async def started(world, trigger):
    """The inputs of a trigger's runs."""
    return [row["input"] for row in await world.rows("SELECT input FROM runs WHERE trigger_id = %(id)s", id=trigger.id)]


@pytest.mark.parametrize("status", ["failed", "needs_attention"])
async def test_a_listener_gets_a_run_that_says_what_happened(world, failures, status):
    """Output: run, task and its name, status and error; a second look finds nothing more to tell."""
    trigger = await world.trigger()
    listens = await listener(world, trigger.user_id)
    run = await ended(world, trigger, status)
    assert await failures.tell() == 1
    assert await failures.tell() == 0
    assert await started(world, listens) == [
        {
            "run_id": format_id("run", run.run_id),
            "task_id": format_id("task", trigger.task_id),
            "task_name": "t",
            "status": status,
            "error": ERROR,
        }
    ]
    assert await world.value("SELECT count(*)::int FROM run_ends") == 0


@pytest.mark.parametrize("status", ["succeeded", "cancelled", "waiting"])
async def test_other_ends_are_not_told(world, failures, status):
    """Success and cancellation are no failures, and neither is a run that waits."""
    trigger = await world.trigger()
    await listener(world, trigger.user_id)
    await ended(world, trigger, status)
    assert await world.value("SELECT count(*)::int FROM run_ends") == 0
    assert await failures.tell() == 0


async def test_only_the_owners_listeners_of_that_task_hear_of_it(world, failures):
    """Not those of other users, not those of other tasks, not disabled ones."""
    trigger = await world.trigger()
    this = await listener(world, trigger.user_id, trigger.task_id)
    other = await listener(world, trigger.user_id, this.task_id)
    disabled = await listener(world, trigger.user_id)
    foreign = await listener(world, await world.user())
    await world.rows("UPDATE triggers SET enabled = false WHERE id = %(id)s", id=disabled.id)
    await ended(world, trigger)
    assert await failures.tell() == 1
    assert [len(await started(world, one)) for one in (this, other, disabled, foreign)] == [1, 0, 0, 0]


async def test_a_listener_never_hears_of_runs_that_it_started(world, failures):
    """Two listeners that fail do not fire each other for ever: what has a part in the chain is left out, on record."""
    trigger = await world.trigger()
    one, two = await listener(world, trigger.user_id), await listener(world, trigger.user_id)
    await ended(world, trigger)
    assert await failures.tell() == 2
    for _ in range(6):
        for row in await world.rows("SELECT id, fence FROM runs WHERE status = 'queued'"):
            host = await world.host()
            await world.rows(
                "UPDATE runs SET status = 'running', owner = %(host)s WHERE id = %(id)s", host=host, id=row["id"]
            )
            await world.store(host).advance(Advance(row["id"], row["fence"], "failed", error=ERROR))
        await failures.tell()
    assert [len(await started(world, each)) for each in (trigger, one, two)] == [1, 2, 2]
    assert (await world.skips(one))["loop"] == (await world.skips(two))["loop"] == 3


async def test_several_hosts_tell_once(world, failures):
    """Whoever comes first takes an end; twenty ends, six tellers, twenty runs."""
    trigger = await world.trigger()
    listens = await listener(world, trigger.user_id)
    for n in range(20):
        await ended(world, trigger, key=f"{n}")
    assert sum(await asyncio.gather(*(failures.tell() for _ in range(6)))) == 20
    assert len(await started(world, listens)) == 20


async def test_a_teller_that_dies_leaves_the_end_to_the_next(world, failures):
    """Fired, not settled: told again after a minute, and the listener still has one run."""
    trigger = await world.trigger()
    listens = await listener(world, trigger.user_id)
    await ended(world, trigger)
    (end,) = await RunEnds(world.database).take(most=10)
    await failures._fire(end, end.listeners[0])
    assert await failures.tell() == 0
    await world.rows("UPDATE run_ends SET available_at = clock_timestamp()")
    assert await failures.tell() == 0
    assert len(await started(world, listens)) == 1
    assert await world.value("SELECT count(*)::int FROM run_ends") == 0


async def test_the_owner_has_at_most_one_mail_per_task_and_hour(world, failures):
    """Three failures of one task and one of another are two mails; an hour later there is another."""
    trigger = await world.trigger()
    other = await world.trigger(user_id=trigger.user_id)
    await world.rows("UPDATE users SET email = 'mina@example.com', status = 'active', locale = 'ko'")
    for key in "ab":
        await ended(world, trigger, key=key)
    await ended(world, other)
    await failures.tell()
    await ended(world, trigger, key="c")
    await failures.tell()
    mails = await world.rows("SELECT * FROM mails ORDER BY id")
    assert [(mail["recipients"], mail["purpose"], mail["user_id"]) for mail in mails] == [
        (["mina@example.com"], "run_failed", trigger.user_id)
    ] * 2
    assert "실패" in mails[0]["subject"]
    assert "http_error" in mails[0]["body_text"]
    await world.rows("UPDATE tasks SET failure_mailed_at = failure_mailed_at - interval '61 minutes'")
    await ended(world, trigger, key="d")
    await failures.tell()
    assert await world.value("SELECT count(*)::int FROM mails") == 3


async def test_a_disabled_account_gets_no_mail(world, failures):
    """The end is settled all the same."""
    trigger = await world.trigger()
    await world.rows("UPDATE users SET status = 'disabled'")
    await ended(world, trigger)
    await failures.tell()
    assert await world.value("SELECT (SELECT count(*) FROM mails)::int + (SELECT count(*) FROM run_ends)::int") == 0


async def test_poison_is_told_too(world, failures):
    """The reaper's end of a run is an end like any other, by rescue and by release."""
    trigger = await world.trigger()
    await world.rows("UPDATE users SET status = 'active'")
    listens = await listener(world, trigger.user_id)
    runs = []
    for key in "ab":
        host = await world.host()
        runs.append((await world.fires.fire(world.event(trigger, key, host=host))).assigned)
    await world.rows("UPDATE runs SET claims = 20")
    await hosts.end(world.database, [runs[0].host], state="crashed")
    await world.store(await world.host()).rescue()
    await world.store(runs[1].host).release([(runs[1].run_id, runs[1].fence)])
    assert await failures.tell() == 2
    assert [given["error"]["code"] for given in await started(world, listens)] == ["poison"] * 2
    assert await world.value("SELECT count(*)::int FROM mails") == 1


async def test_a_full_queue_is_on_record(world, failures):
    """What a listener's user has no room for is skipped with a reason, and the end is settled."""
    trigger = await world.trigger()
    listens = await listener(world, trigger.user_id)
    await ended(world, trigger)
    world.limit(queued_runs=0)
    assert await failures.tell() == 0
    assert await world.skips(listens) == {"quota": 1}


@pytest.mark.parametrize("locale", ["en", "ko", "ja", "fr", None])
@pytest.mark.parametrize("status", ["failed", "needs_attention"])
async def test_letters_in_every_language(world, locale, status):
    """Subject in one line, the run's id, the reason, and what to do; an unknown language reads English."""
    trigger = await world.trigger()
    await ended(world, trigger, status)
    (end,) = await RunEnds(world.database).take(most=1)
    odd = {"locale": locale, "task_name": "a\r\nBcc: b {run}"}
    letter = letter_about(type(end)(**{name: odd.get(name, getattr(end, name)) for name in end.__slots__}))
    assert "\n" not in letter.subject
    assert "a Bcc: b {run}" in letter.subject
    assert format_id("run", end.run_id) in letter.text
    assert ("resolve" if status == "needs_attention" else "replay") in letter.text
