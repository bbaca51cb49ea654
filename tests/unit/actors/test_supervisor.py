"""The supervisor over hosts in memory: what is live becomes what is desired, whoever comes, goes or is silent."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ray.exceptions import RayActorError

from actors import supervisor as module
from actors.cluster import HostRef
from actors.supervisor import TriggerSupervisor
from taske_ray.clock import new_id
from taske_ray.db.triggers import TriggerChange
from taske_ray.errors import Unavailable
from taske_ray.testing import eventually


class Host:
    """A watcher host behind a handle: `invoke.remote(method, args)` is all that a Ray actor is here."""

    def __init__(self, name, node="n1"):
        self.ref = HostRef(name, node, self)
        self.may_stop = asyncio.Event()
        self.invoke = SimpleNamespace(remote=self._answer)
        self.watching, self.told = {}, []
        self.lost = False

    async def _answer(self, method, args):
        if self.lost:
            raise RayActorError
        if method == "watched":
            return new_id(), dict(self.watching)
        if method == "stop":
            self.told.append((method, args))
            return await self.may_stop.wait()
        self.told.append((method, set(args[0])))
        for trigger_id in args[0]:
            if method == "watch":
                self.watching[trigger_id] = Rows.versions.get(trigger_id)
            else:
                self.watching.pop(trigger_id, None)
        return None


class Rows:
    """Triggers in memory: versions of the enabled ones, and what changed."""

    versions: dict = {}  # noqa: RUF012 - each test begins with its own

    def __init__(self):
        Rows.versions = {}
        self.log = []
        self.away = False

    def set(self, trigger_id, version):
        """Enable a trigger in a version, or (None) disable it."""
        if version is None:
            self.versions.pop(trigger_id, None)
        else:
            self.versions[trigger_id] = version
        self.log.append(TriggerChange(trigger_id, version or 0, version is not None, len(self.log) + 1))

    async def desired(self):
        """All that is enabled."""
        if self.away:
            raise Unavailable
        return dict(self.versions)

    async def changes(self, since):
        """What changed after a number."""
        return [change for change in self.log if change.change > since]


class Stand:
    """A supervisor that is turned by hand."""

    def __init__(self, *names, capacity=100):
        self.rows = Rows()
        self.hosts = {name: Host(name) for name in names}
        self.supervisor = TriggerSupervisor()
        self.supervisor._triggers = self.rows
        self.supervisor._density = replace(self.supervisor._density, watchers_per_host=capacity)
        self.appear(*names)

    def appear(self, *names):
        """These watcher hosts answer now."""
        self.supervisor._alive["watcher"] = [self.hosts[name].ref for name in names]

    async def whole(self):
        """A look at everything, and what follows from it."""
        await self.supervisor._look_whole()
        await self.supervisor._reconcile()

    async def on(self):
        """One tick: a look at what changed, or at everything when hosts came or went, and what follows from it."""
        if self.supervisor._hosts_changed():
            await self.whole()
        elif await self.supervisor._look_on():
            await self.supervisor._reconcile()

    def watched(self):
        """Who watches which trigger in which version."""
        return {
            trigger: (name, version) for name, host in self.hosts.items() for trigger, version in host.watching.items()
        }


@pytest.fixture
def triggers():
    return [new_id() for _ in range(40)]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("TASKE_DATA_DIR", str(tmp_path))


async def test_every_enabled_trigger_is_watched_by_one_host(triggers):
    """Forty triggers over two hosts: each is watched once; looking again changes nothing."""
    stand = Stand("a", "b")
    for trigger in triggers:
        stand.rows.set(trigger, 1)
    await stand.whole()
    assert set(stand.watched()) == set(triggers)
    assert sum(len(host.watching) for host in stand.hosts.values()) == 40
    assert all(host.watching for host in stand.hosts.values())
    assert await stand.supervisor.watched() == dict.fromkeys(triggers, 1)
    told = [len(host.told) for host in stand.hosts.values()]
    for _ in range(3):
        await stand.whole()
        await stand.on()
    assert [len(host.told) for host in stand.hosts.values()] == told


async def test_changes_are_followed_without_a_whole_look(triggers):
    """Created, edited and disabled triggers are started, replaced where they are, and stopped."""
    stand = Stand("a", "b")
    first, second = triggers[:2]
    await stand.whole()
    stand.rows.set(first, 1)
    stand.rows.set(second, 1)
    await stand.on()
    before = stand.watched()
    assert set(before) == {first, second}
    stand.rows.set(first, 2)
    await stand.on()
    assert stand.watched()[first] == (before[first][0], 2)
    stand.rows.set(first, None)
    await stand.on()
    assert set(stand.watched()) == {second}


async def test_a_nudge_shows_deletions_too(triggers):
    """Whoever deletes a trigger nudges, and the next tick stops its watcher."""
    stand = Stand("a")
    stand.rows.set(triggers[0], 1)
    await stand.whole()
    del stand.rows.versions[triggers[0]]
    await stand.on()
    assert set(stand.watched()) == {triggers[0]}
    await stand.supervisor.changed()
    await stand.on()
    assert stand.watched() == {}


async def test_a_deleted_trigger_is_stopped_by_the_next_whole_look(triggers):
    """A deletion leaves no change behind; reading both sides in full finds it."""
    stand = Stand("a")
    stand.rows.set(triggers[0], 1)
    await stand.whole()
    del stand.rows.versions[triggers[0]]
    await stand.whole()
    assert stand.watched() == {}


async def test_the_triggers_of_a_lost_host_move(triggers):
    """When a host no longer answers, the others take its triggers, and what they had stays where it was."""
    stand = Stand("a", "b")
    for trigger in triggers:
        stand.rows.set(trigger, 1)
    await stand.whole()
    kept = dict(stand.hosts["b"].watching)
    stand.hosts["a"].lost = True
    stand.hosts["a"].watching.clear()
    stand.appear("b")
    await stand.on()
    assert set(stand.hosts["b"].watching) == set(triggers)
    assert kept.items() <= stand.hosts["b"].watching.items()
    (moved,) = [ids for method, ids in stand.hosts["b"].told[1:] if method == "watch"]
    assert not moved & set(kept)


async def test_a_host_that_came_back_empty_is_given_its_triggers_again(triggers):
    """A restarted host watches nothing; the next whole look sees that."""
    stand = Stand("a")
    for trigger in triggers:
        stand.rows.set(trigger, 1)
    await stand.whole()
    stand.hosts["a"].watching.clear()
    await stand.whole()
    assert set(stand.hosts["a"].watching) == set(triggers)


async def test_a_host_that_is_lost_while_it_is_told_is_asked_again(triggers):
    """What a host was told and did not confirm is not assumed: it is read again and told again."""
    stand = Stand("a")
    await stand.whole()
    stand.rows.set(triggers[0], 1)
    stand.hosts["a"].lost = True
    await stand.on()
    assert await stand.supervisor.watched() == {}
    stand.hosts["a"].lost = False
    await stand.on()
    assert set(stand.watched()) == {triggers[0]}
    assert await stand.supervisor.watched() == {triggers[0]: 1}


async def test_more_triggers_than_room_ask_for_more_hosts(triggers):
    """Beyond the capacity triggers wait, and the supervisor wants as many hosts as they need."""
    stand = Stand("a", capacity=15)
    for trigger in triggers:
        stand.rows.set(trigger, 1)
    await stand.whole()
    assert len(stand.watched()) == 15
    assert stand.supervisor._watcher_hosts == 3
    stand.hosts |= {name: Host(name) for name in "bc"}
    stand.appear("a", "b", "c")
    await stand.on()
    assert set(stand.watched()) == set(triggers)


async def test_a_trigger_that_two_hosts_watch_is_stopped_on_one(triggers):
    """After a partition the same trigger may be watched twice; one of the two is told to stop."""
    stand = Stand("a", "b")
    stand.rows.set(triggers[0], 1)
    for host in stand.hosts.values():
        host.watching[triggers[0]] = 1
    await stand.whole()
    assert sum(triggers[0] in host.watching for host in stand.hosts.values()) == 1


async def test_a_new_supervisor_takes_over_what_is_there(triggers):
    """It may forget everything: another one asks the hosts and changes nothing."""
    stand = Stand("a", "b")
    for trigger in triggers:
        stand.rows.set(trigger, 1)
    await stand.whole()
    told = [len(host.told) for host in stand.hosts.values()]
    successor = TriggerSupervisor()
    successor._triggers, successor._alive = stand.rows, stand.supervisor._alive
    await successor._look_whole()
    await successor._reconcile()
    assert await successor.watched() == dict.fromkeys(triggers, 1)
    assert [len(host.told) for host in stand.hosts.values()] == told


async def test_a_host_whose_drain_overruns_is_condemned_before_the_service_ends(monkeypatch):
    """It will be ended with work in hand, and that is our doing; one that stopped, or exited, is left as it is."""

    class Database:
        said = ()

        async def fetch(self, _statement, parameters):
            self.said += tuple(parameters["names"])

        async def close(self):
            """Nothing."""

    stand = Stand("stopped", "exited", "slow")
    stand.hosts["exited"].lost = True
    hosts = [host.ref for host in stand.hosts.values()]
    stand.hosts["stopped"].invoke.remote = lambda *_: asyncio.sleep(0)
    stand.hosts["slow"].invoke.remote = lambda *_: asyncio.sleep(60)
    monkeypatch.setattr(module, "_stop_s", 0.05)
    stand.supervisor._database = database = Database()
    stand.supervisor._alive = {"run": hosts, "watcher": [], "client": []}
    await stand.supervisor.stop()
    assert database.said == ("slow",)


async def test_nothing_is_ready_once_the_stop_has_begun():
    """While its hosts drain, the supervisor says so: `/readyz` answers 503 before anything is gone."""
    stand = Stand("a")
    stand.supervisor._database = SimpleNamespace(close=lambda: asyncio.sleep(0))
    assert (await stand.supervisor.ready())["watcher"] == 1
    stopping = asyncio.create_task(stand.supervisor.stop())
    await eventually(lambda: stand.hosts["a"].told == [("stop", ())])
    assert await stand.supervisor.ready() == {}
    stand.hosts["a"].may_stop.set()
    await stopping
    assert await stand.supervisor.ready() == {}
