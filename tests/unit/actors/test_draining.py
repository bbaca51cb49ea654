"""A host that stops: what is in flight may end, what is not is given back, and all of it has an end.

Time in these tests passes at once where nothing else is to be done: twenty seconds of waiting take none.
"""

import asyncio
import selectors
import time
from types import SimpleNamespace

import pytest

from actors import supervisor
from actors.cluster import HostRef
from actors.host_process import drain_s
from actors.integration_client import IntegrationClient
from actors.run_host import RunHost
from actors.supervisor import TriggerSupervisor
from actors.workflow_run import Trust
from taske_ray.core.call import Call
from taske_ray.core.outcome import Succeeded
from taske_ray.launcher import instance, runtime
from taske_ray.limits import profiles
from taske_ray.testing import eventually
from tests.unit.actors.one_run import LEASE, Stand, get


class Skipping(selectors.DefaultSelector):
    """Where nothing is ready, the moment of the next timer has come."""

    ahead = 0.0

    def select(self, timeout=None):
        """What is ready now."""
        ready = super().select(timeout if timeout is None else 0)
        if not ready and timeout:
            self.ahead += timeout
        return ready


def hurried(scene):
    """Play a scene."""
    selector = Skipping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: time.monotonic() + selector.ahead
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(scene)


class Process:
    """What a host knows of its process."""

    def __init__(self, host_id):
        self.lease = SimpleNamespace(host_id=host_id)
        self.settings = SimpleNamespace(limits=profiles["default"])
        self.loops, self.closed = [], False

    def every(self, seconds, act):
        """Again and again."""

        async def rounds():
            while True:
                await act()
                await asyncio.sleep(seconds())

        self.loops.append(asyncio.get_running_loop().create_task(rounds()))

    async def close(self):
        """No more."""
        self.closed = True
        for loop in self.loops:
            loop.cancel()


class Host:
    """A run host over a log in memory, whose one task has two steps; each call takes `call_s`."""

    def __init__(self, call_s):
        self.call_s, self.released = call_s, []
        self.stand = Stand(get("/a"), get("/b"))
        self.run = self.stand.run
        clients, log = self.stand.clients, self.stand.log
        answer = clients.perform

        async def perform(call, at):
            outcome = await answer(call, at)
            await asyncio.sleep(self.call_s)
            return outcome

        async def release(runs):
            self.released += runs

        clients.perform = perform
        self.host = host = RunHost.__new__(RunHost)
        host._process, host._pool = Process(self.run.host), clients
        host._store = SimpleNamespace(advance=log.advance, release=release)
        host._tasks = SimpleNamespace(get=self._task)
        host._granted = SimpleNamespace(refusal=lambda *_: asyncio.sleep(0))
        host._fires = SimpleNamespace(close=lambda: asyncio.sleep(0))
        host._trust = Trust(self.stand.clock.now, lambda: LEASE, lambda: self.run.host, lambda: host._draining)
        host._live, host._abandoned = {}, {}
        host._is_quarantine = host._draining = False

    async def _task(self, *_):
        return self.stand.task

    async def begun(self):
        """Return when the first call is out."""
        await self.host.take([self.run])
        await eventually(lambda: self.stand.sent)
        return self


def test_a_run_ends_its_call_in_a_drain_and_is_given_back():
    """Step 1's outcome is recorded, step 2 is not begun, and the run is released; no attempt is left open."""

    async def scene():
        one = await Host(19).begun()
        await one.host.stop()
        assert one.stand.attempts() == [(1, 1, "succeeded")]
        assert one.stand.statuses() == {1: "succeeded"}
        assert one.released == [(one.run.run_id, one.run.fence)]
        assert one.host._process.closed

    hurried(scene())


def test_a_run_is_given_back_before_its_neighbours_calls_end():
    """Nobody waits for the longest call of a host: what is done with, and what comes too late, goes on elsewhere."""

    async def scene():
        one = await Host(15).begun()
        late = one.stand.log.assign()
        began = asyncio.get_running_loop().time()
        stopping = asyncio.create_task(one.host.stop())
        await asyncio.sleep(1)
        await one.host.take([late, one.run])  # the second is live: told twice
        await eventually(lambda: one.released)
        assert asyncio.get_running_loop().time() - began < 5
        assert one.released == [(late.run_id, late.fence)]
        await stopping
        assert one.stand.attempts() == [(1, 1, "succeeded")]

    hurried(scene())


def test_a_call_that_is_longer_than_the_drain_is_given_up():
    """After twenty seconds the run is released with its call open, for the next owner to ask about."""

    async def scene():
        one = await Host(60).begun()
        began = asyncio.get_running_loop().time()
        await one.host.stop()
        assert asyncio.get_running_loop().time() - began == pytest.approx(20, abs=1)
        assert one.stand.attempts() == [(1, 1, "dispatched")]
        assert one.released == [(one.run.run_id, one.run.fence)]

    hurried(scene())


def a_client(call_s):
    """A client whose calls take so long; its answers."""
    client = IntegrationClient.__new__(IntegrationClient)
    client._process = Process("me")
    client._calls, client._draining = set(), False
    answers = []

    async def perform(call):
        await asyncio.sleep(call_s)
        return Succeeded(call.id)

    def nothing(*_):
        return asyncio.sleep(0)

    client._client = SimpleNamespace(perform=perform, acknowledge=lambda _: None, close=nothing)
    client._replies = SimpleNamespace(put=lambda _, reply: answers.append(reply), close=nothing)
    client._trail, client._audit = SimpleNamespace(close=nothing), SimpleNamespace(saw=lambda *_: None)
    return client, answers


@pytest.mark.parametrize(("call_s", "answered"), [(19, True), (25, False)])
def test_a_client_that_is_started_anew_ends_its_calls(call_s, answered):
    """A call has as long there as in the host that waits for it: 19 s are never cut off."""

    async def scene():
        client, answers = a_client(call_s)
        await client.submit("me", "run-0", [Call("c", "user", "http.request", 1, {}, "2027-05-04T12:00:00Z")])
        await client.stop()
        assert [call_id for call_id, _ in answers] == ["c"] * answered
        for call in client._calls:
            call.cancel()

    hurried(scene())


class Stopping:
    """A host that takes all the time that it is given, or that its calls take."""

    def __init__(self, name, call_s):
        self.ref, self.name, self.call_s = HostRef(name, "n", self), name, call_s
        self.invoke = SimpleNamespace(remote=self._stop)

    async def _stop(self, _method, args):
        await asyncio.sleep(0.5 if self.name == "watcher" else min(self.call_s, *(args or (drain_s,))))


@pytest.mark.parametrize("call_s", [5, 60])
def test_a_whole_stop_has_one_time_for_calls(call_s, monkeypatch, tmp_path):
    """Run hosts and then clients, each with a call that is too long, are through before the launcher uses force."""
    monkeypatch.setenv("TASKE_DATA_DIR", str(tmp_path))

    async def scene():
        stopped = TriggerSupervisor()
        stopped._database = SimpleNamespace(close=lambda: asyncio.sleep(0))
        stopped._alive = {kind: [Stopping(kind, call_s).ref] for kind in ("watcher", "run", "client")}
        began = asyncio.get_running_loop().time()
        await stopped.stop()
        assert asyncio.get_running_loop().time() - began < runtime.STOP_ACTORS_S - 1

    hurried(scene())
    assert supervisor._stop_s <= runtime.STOP_ACTORS_S
    assert runtime.STOP_ACTORS_S + runtime.STOP_SERVE_S < instance.STOP_LIMIT_S
