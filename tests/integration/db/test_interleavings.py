"""Random interleavings of fire, claim, advance, crash and rescue on a real PostgreSQL keep D2, D4, D6 and D7."""

import asyncio
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field

import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from taske_ray.db import hosts, queries
from taske_ray.db.fire_values import AssignedRun
from taske_ray.db.fires import FireStore
from taske_ray.db.runs import Advance, AttemptClosed, AttemptOpened, StepWritten, cancel_run
from taske_ray.db.triggers import TriggerStore
from tests.integration.db.conftest import World

pytestmark = pytest.mark.integration
KEYS, HOSTS, STEPS = 6, 2, 2  # even keys are events of one user, odd ones of another whose runs must not overlap

commands = st.lists(
    st.one_of(
        st.tuples(st.just("fire"), st.integers(0, KEYS - 1), st.integers(0, HOSTS)),
        st.tuples(st.just("claim"), st.integers(0, HOSTS - 1), st.integers(1, 3)),
        st.tuples(st.just("work"), st.integers(0, HOSTS - 1), st.integers(0, 9)),
        st.tuples(st.just("repeat"), st.integers(0, HOSTS - 1), st.integers(0, 9)),
        st.tuples(st.just("die"), st.integers(0, HOSTS - 1), st.booleans()),
        st.tuples(st.just("rescue"), st.integers(0, HOSTS - 1), st.none()),
        st.tuples(st.just("cancel"), st.integers(0, KEYS - 1), st.none()),
    ),
    min_size=10,
    max_size=40,
)


@dataclass
class Machine:
    """Hosts that work from memory and never notice by themselves that they were declared dead."""

    world: object
    triggers: list
    names: list
    held: dict = field(default_factory=dict)
    sent: list = field(default_factory=list)
    fired: dict = field(default_factory=dict)
    ended: dict = field(default_factory=dict)
    became: Counter = field(default_factory=Counter)

    @classmethod
    async def begun(cls, world):
        """Two users and the hosts, nothing else."""
        triggers = [await world.trigger(), await world.trigger(overlap="skip")]
        return cls(world, triggers, [await world.host() for _ in range(HOSTS)])

    async def fire(self, key, host):
        """The event `key` happens, here or (beyond the last host) where nobody can take it."""
        owner = self.names[host] if host < len(self.names) else None
        trigger = self._of(key)
        overlap = "skip" if key % 2 else "allow"
        fired = await self.world.fires.fire(self.world.event(trigger, f"{key}", host=owner, overlap=overlap))
        self.became[fired.status] += 1
        if fired.status in ("created", "duplicate"):
            assert self.fired.setdefault(key, fired.run_id) == fired.run_id, "one run per key"
        if fired.assigned is not None:
            self._hold(host, fired.assigned)

    async def claim(self, host, most):
        """A host asks for work."""
        before = await self._loads()
        claimed = await self._store(host).claim(share=10, most=most)
        after = await self._loads()
        for run in claimed:
            self._hold(host, run)
        for taken in {run.user_id for run in claimed}:
            for running, due in after.values():
                assert not due or after[taken][0] <= running + 1, f"one was served before another: {before} {after}"

    async def work(self, host, which):
        """One advance of one run that this host believes to hold, whether it still does or not."""
        mine = [key for key in self.held if key[0] == host]
        if not mine:
            return
        key = mine[which % len(mine)]
        run, step, opened = self.held[key]
        advance = self._advance(run, step, opened)
        self.sent.append((host, run.host, advance))
        answer = await self.world.store(run.host).advance(advance)
        if not answer.owned or answer.cancelled or advance.status != "running":
            del self.held[key]
        else:
            self.held[key] = (run, step + 1 if opened else step, True)

    async def repeat(self, host, which):
        """An old advance arrives once more."""
        mine = [(identity, advance) for sender, identity, advance in self.sent if sender == host]
        if mine:
            identity, advance = mine[which % len(mine)]
            await self.world.store(identity).advance(advance)

    async def die(self, host, crashed):
        """The lease ends; memory lives on as that of a process that was merely paused, under its old identity."""
        state = "crashed" if crashed else "dead"
        await hosts.end(self.world.database, [self.names[host]], state=state)
        self.names[host] = await self.world.host()

    async def rescue(self, host, _):
        """A host looks for orphans."""
        await self._store(host).rescue()

    async def cancel(self, key, _):
        """The user has had enough."""
        if key in self.fired:
            await cancel_run(self.world.database, owner=self._of(key).user_id, run_id=self.fired[key])

    async def check(self):
        """What must hold after every command."""
        runs = await self.world.rows("SELECT * FROM runs")
        assert len(runs) == len({run["fire_key"] for run in runs}) == len(self.fired) == self.became["created"]
        skipped = {skip for trigger in self.triggers for skip in (await self.world.skips(trigger)).items()}
        assert skipped == ({("quota", self.became["overlap"])} if self.became["overlap"] else set()), "D6"
        for run in runs:
            if run["status"] in {"succeeded", "failed", "cancelled"}:
                seen = (run["status"], run["finished_at"], run["fence"])
                assert self.ended.setdefault(run["id"], seen) == seen, "a terminal state changed"
            else:
                assert run["id"] not in self.ended
            assert (run["status"] == "running") == (run["owner"] is not None)
        twice = "SELECT run_id FROM attempts WHERE status = 'succeeded' GROUP BY run_id, step HAVING count(*) > 1"
        assert not await self.world.rows(twice), "a step succeeded twice"
        early = """SELECT a.run_id FROM attempts a WHERE step > 1 AND NOT EXISTS (SELECT FROM steps s
                   WHERE s.run_id = a.run_id AND s.step = a.step - 1 AND s.status = 'succeeded')"""
        assert not await self.world.rows(early), "a step was opened before the one in front of it was recorded"

    async def _loads(self):
        """For each user: how many of their runs are running, and how many are due."""
        rows = await self.world.rows(
            "SELECT user_id, count(*) FILTER (WHERE status = 'running')::int AS running, count(*) FILTER"
            " (WHERE status IN ('queued', 'waiting') AND available_at <= clock_timestamp() AND crashes < 2)::int AS due"
            " FROM runs GROUP BY user_id"
        )
        return {row["user_id"]: (row["running"], row["due"]) for row in rows}

    def _of(self, key):
        return self.triggers[key % 2]

    def _store(self, host):
        return self.world.store(self.names[host])

    def _hold(self, host, run: AssignedRun):
        self.held[host, run.run_id, run.fence] = (run, 1, False)

    def _advance(self, run, step, opened):
        if not opened:
            return Advance(run.run_id, run.fence, steps=(_step(step, "running"),), opened=(self._intent(run, step),))
        closed = (AttemptClosed(step, run.fence, "succeeded", sent=True),)
        if step == STEPS:
            return Advance(run.run_id, run.fence, "succeeded", closed=closed, steps=(_step(step, "succeeded"),))
        steps = (_step(step, "succeeded"), _step(step + 1, "running"))
        return Advance(run.run_id, run.fence, closed=closed, steps=steps, opened=(self._intent(run, step + 1),))

    def _intent(self, run, step):
        return AttemptOpened(step, run.fence, f"{run.run_id}:{step}")  # numbered by fence: never the same one twice


def _step(number, status):
    return StepWritten(number, f"action{number}", "http.request", status)


async def explore(world):
    """Play random sequences, each in an empty database, on the loop that the database was opened in."""
    loop = asyncio.get_running_loop()

    async def play(sequence):
        await world.rows("TRUNCATE users, runs, steps, attempts, events, skips, hosts CASCADE")
        machine = await Machine.begun(world)
        for name, *arguments in sequence:
            await getattr(machine, name)(*arguments)
            await machine.check()

    @settings(max_examples=25, deadline=None, derandomize=True, phases=[Phase.generate], database=None)
    @given(commands)
    def played(sequence):
        asyncio.run_coroutine_threadsafe(play(sequence), loop).result(timeout=30)

    await asyncio.to_thread(played)


async def test_promises_hold_in_any_order(world):
    """One run per key, one success per step, order of steps, ends that stay, a skip for what is no run, fair turns."""
    await explore(world)


async def test_a_missing_index_is_seen(fresh_database):
    """With the unique index of D2 dropped a second success of a step is taken, and the same check says so."""
    await fresh_database.fetch("DROP INDEX attempts_one_success")
    world = World(fresh_database, fresh_database, FireStore(fresh_database), TriggerStore(fresh_database))
    machine = await Machine.begun(world)
    await machine.fire(0, 0)
    for _ in range(STEPS + 1):
        await machine.work(0, 0)
    await machine.check()
    again = "INSERT INTO attempts (run_id, step, number, fence, status) SELECT id, 1, 9, 9, 'succeeded' FROM runs"
    await world.rows(again)
    with pytest.raises(AssertionError, match="succeeded twice"):
        await machine.check()
    await world.close()


@pytest.mark.parametrize(
    ("statement", "guard", "without"),
    [
        ("advance_runs", "r.fence = a.fence AND r.status = 'running' AND r.owner = %(owner)s", "%(owner)s IS NOT NULL"),
        ("cancel_run", "t.status IN ('queued', 'waiting', 'running', 'needs_attention')", "true"),
    ],
)
async def test_the_test_sees_a_missing_guard(world, monkeypatch, statement, guard, without):
    """The same exploration fails when a statement loses the condition that keeps the promise."""
    text = getattr(queries, statement)
    assert guard in text
    monkeypatch.setattr(queries, statement, text.replace(guard, without), raising=False)
    with pytest.raises((AssertionError, psycopg.errors.UniqueViolation)):
        await explore(world)


async def test_the_test_sees_who_is_served_out_of_turn(world, monkeypatch):
    """Two runs of one user before the first of another: taken in turns by the statement, by age without its order."""
    guard = "ORDER BY place + busy, random()"
    assert guard in queries.claim_runs
    by_age = queries.claim_runs.replace(guard, "ORDER BY id")
    for statement, refused in ((queries.claim_runs, False), (by_age, True)):
        await world.rows("TRUNCATE users, runs, steps, attempts, events, skips, hosts CASCADE")
        machine = await Machine.begun(world)
        for key in (0, 2, 1):
            await machine.fire(key, HOSTS)
        monkeypatch.setattr(queries, "claim_runs", statement, raising=False)
        with pytest.raises(AssertionError, match="served before") if refused else nullcontext():
            await machine.claim(0, 2)
