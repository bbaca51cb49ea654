"""The pulse of an actor: what is ended when nothing answers, and what is left in peace."""

import subprocess
import sys

import psutil
import pytest

from actors import cluster
from actors.cluster import ActorEnded
from actors.pulse import SILENT_PINGS, START_PINGS, Pulse


class Ray:
    """Answers pings by hand: a process id, None for no answer, an error; remembers what it was to start again."""

    def __init__(self):
        self.answer = None
        self.restarted = []

    async def ping(self, _handle, _method):
        """The next answer."""
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def restart(self, handle):
        """Start an actor again."""
        self.restarted.append(handle)


@pytest.fixture
def ray(monkeypatch):
    found = Ray()
    monkeypatch.setattr(cluster, "ping", found.ping)
    monkeypatch.setattr(cluster, "restart", found.restart)
    return found


@pytest.fixture
def sleeper():
    """A process that does nothing."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield psutil.Process(child.pid)
    child.kill()
    child.wait()


async def missed(pulse, count):
    """Let so many pings go without an answer."""
    for _ in range(count):
        assert not await pulse.beats()


def is_gone(process):
    """Whether it has ended, collected or not."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


async def test_an_actor_that_hangs_is_ended_by_its_process_id(ray, sleeper):
    """After five pings in a row without an answer, not after four; Ray is not asked to do it."""
    pulse = Pulse("a", here=True)
    ray.answer = sleeper.pid
    assert await pulse.beats()
    ray.answer = None
    await missed(pulse, SILENT_PINGS - 1)
    assert not is_gone(sleeper)
    await missed(pulse, 1)
    psutil.wait_procs([sleeper], timeout=5)
    assert is_gone(sleeper)
    assert ray.restarted == []


async def test_one_answer_makes_it_young_again(ray, sleeper):
    """Only misses in a row count."""
    pulse = Pulse("a", here=True)
    for _ in range(3):
        ray.answer = sleeper.pid
        assert await pulse.beats()
        ray.answer = None
        await missed(pulse, SILENT_PINGS - 1)
    assert not is_gone(sleeper)


async def test_an_actor_that_hung_before_is_ended_by_the_process_on_record(ray, sleeper):
    """It never answered us; what it had registered says which process that is."""

    async def recorded():
        return sleeper

    await missed(Pulse("a", here=True, recorded=recorded), SILENT_PINGS)
    psutil.wait_procs([sleeper], timeout=5)
    assert is_gone(sleeper)
    assert ray.restarted == []


async def test_a_slow_start_is_left_alone_for_a_while(ray):
    """No process is known: it is being placed or is starting, and is started again only after a long time."""
    pulse = Pulse("a", here=True)
    await missed(pulse, START_PINGS - 1)
    assert ray.restarted == []
    await missed(pulse, 1)
    assert ray.restarted == ["a"]


async def test_the_restart_of_a_dead_process_is_waited_for(ray, sleeper):
    """The process that answered last is gone: Ray is starting another, slowly; that one is not shot at."""
    pulse = Pulse("a", here=True)
    ray.answer = sleeper.pid
    assert await pulse.beats()
    sleeper.kill()
    psutil.wait_procs([sleeper], timeout=5)
    ray.answer = None
    await missed(pulse, START_PINGS - 1)
    assert ray.restarted == []


async def test_on_another_machine_ray_ends_it(ray, sleeper):
    """Process ids of another machine mean nothing here: one of the same number is safe."""
    pulse = Pulse("a", here=False)
    ray.answer = sleeper.pid
    assert await pulse.beats()
    ray.answer = None
    await missed(pulse, SILENT_PINGS)
    assert ray.restarted == ["a"]
    assert not is_gone(sleeper)


async def test_an_actor_that_was_ended_for_good_is_no_hang(ray):
    """Whoever asked hears of it, and nothing is started."""
    ray.answer = ActorEnded("ping")
    with pytest.raises(ActorEnded):
        await Pulse("a", here=True).beats()
    assert ray.restarted == []
