"""The pulse of an actor: what is ended when nothing answers, and what is left in peace."""

import subprocess
import sys

import psutil
import pytest

from actors import cluster
from actors.cluster import ActorEnded
from actors.pulse import HOST, REPLICA, Pulse
from tests.facts import until


class Ray:
    """Answers pings by hand: a process id, None for no answer, an error; remembers what it was to start again."""

    def __init__(self):
        self.answer = None
        self.restarted = []

    async def ping(self, _handle, **_):
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


def child(program):
    """A process that runs this."""
    started = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    started.stdout.readline()
    return started


@pytest.fixture
def frozen():
    """A process that does nothing at all."""
    started = child("print(flush=True); import time; time.sleep(60)")
    yield psutil.Process(started.pid)
    started.kill()
    started.wait()


@pytest.fixture
def busy():
    """A process that never stops computing."""
    started = child("print(flush=True)\nwhile True: pass")
    yield psutil.Process(started.pid)
    started.kill()
    started.wait()


async def missed(pulse, count, busy=None):
    """Let so many pings go without an answer; between them a busy process runs, however much else the machine has."""
    for _ in range(count):
        assert not await pulse.beats()
        if busy is not None:
            used = busy.cpu_times()
            await until(lambda used=used: busy.cpu_times() != used, 30, "the process to run")


async def answered(pulse, ray, process):
    """One answer, and then silence."""
    ray.answer = process.pid
    assert await pulse.beats()
    ray.answer = None


def is_gone(process):
    """Whether it has ended, collected or not."""
    psutil.wait_procs([process], timeout=5)
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def lives(process):
    """Whether it has not ended."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


async def test_a_frozen_actor_is_ended_at_the_second_miss(ray, frozen):
    """By its process id, because it does nothing that Ray asks; not at the first miss."""
    pulse = Pulse("a", here=True)
    await answered(pulse, ray, frozen)
    await missed(pulse, HOST.still - 1)
    assert lives(frozen)
    await missed(pulse, 1)
    assert is_gone(frozen)
    assert ray.restarted == []


async def test_a_busy_actor_is_given_more_time(ray, busy):
    """While its process runs it may only be slow: five misses in a row, not four."""
    pulse = Pulse("a", here=True)
    await answered(pulse, ray, busy)
    await missed(pulse, HOST.silent - 1, busy)
    assert lives(busy)
    await missed(pulse, 1)
    assert is_gone(busy)


async def test_a_busy_replica_is_left_to_serve(ray, busy):
    """However long it takes, we end only what is frozen there."""
    pulse = Pulse("a", here=True, patience=REPLICA, ours=False)
    await answered(pulse, ray, busy)
    await missed(pulse, 3 * HOST.silent, busy)
    assert lives(busy)


async def test_one_answer_ends_the_count(ray, frozen):
    """Only misses in a row count."""
    pulse = Pulse("a", here=True)
    for _ in range(3):
        await answered(pulse, ray, frozen)
        await missed(pulse, HOST.still - 1)
    assert lives(frozen)


async def test_an_actor_that_hung_before_is_ended_by_the_process_on_record(ray, frozen):
    """It never answered us; what it had registered says which process that is."""

    async def recorded():
        return frozen

    await missed(Pulse("a", here=True, recorded=recorded), HOST.still)
    assert is_gone(frozen)
    assert ray.restarted == []


async def test_a_slow_start_is_left_alone_for_a_while(ray):
    """No process is known: it is being placed or is starting, and is started again only after a long time."""
    pulse = Pulse("a", here=True)
    await missed(pulse, HOST.absent - 1)
    assert ray.restarted == []
    await missed(pulse, 1)
    assert ray.restarted == ["a"]


async def test_the_restart_of_a_dead_process_is_waited_for(ray, frozen):
    """The process that answered last is gone: Ray is starting another, slowly; that one is not shot at."""
    pulse = Pulse("a", here=True)
    await answered(pulse, ray, frozen)
    frozen.kill()
    assert is_gone(frozen)
    await missed(pulse, HOST.absent - 1)
    assert ray.restarted == []


async def test_on_another_machine_ray_ends_it(ray, frozen):
    """Process ids of another machine mean nothing here: one of the same number is safe."""
    pulse = Pulse("a", here=False)
    await answered(pulse, ray, frozen)
    await missed(pulse, HOST.silent)
    assert ray.restarted == ["a"]
    assert lives(frozen)


async def test_an_actor_that_was_ended_for_good_is_no_hang(ray):
    """Whoever asked hears of it, and nothing is started."""
    ray.answer = ActorEnded("ping")
    with pytest.raises(ActorEnded):
        await Pulse("a", here=True).beats()
    assert ray.restarted == []
