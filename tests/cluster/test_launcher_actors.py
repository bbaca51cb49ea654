"""`actors/cluster.py` on a real Ray: what the actors' own files may rely on."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from taske_ray.launcher import environment

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(90)]

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def facts():
    """What the toy's scenario saw, in a process and a Ray of its own."""
    folder = tempfile.mkdtemp(prefix="taske-a-")
    environ = {**os.environ, **environment.TUNING, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}
    path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    try:
        done = subprocess.run(
            [sys.executable, str(HERE / "actors_toy.py"), folder],
            env={**environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            check=True,
            timeout=80,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith(b"{")))  # Ray writes there, too


def test_spawning_twice_gives_one_actor_started_once(facts):
    """Two spawns of the supervisor reach the same process, whose `start` ran once before its first call."""
    first, again = facts["supervisor"]
    assert first == again
    assert first[:2] == [["s"], 1]


def test_our_own_errors_cross_processes(facts):
    """A rule broken inside an actor is raised at the caller as the same error, with its fields."""
    assert facts["refused"] == "required"


def test_a_host_is_given_its_name_its_node_and_its_arguments(facts):
    """A host's class gets the name it can be found by and its node, then the blueprint's arguments."""
    name, node, argument = facts["given"]
    assert name == facts["names"][0]
    assert name.split("-")[1] == node[:16]
    assert argument == "more"


def test_a_dead_host_comes_back_started(facts):
    """The call that meets a death says so; Ray's new incarnation starts by itself in another process."""
    assert facts["lost"] == "actor_lost"
    assert facts["restarted"] == [1, True]


def test_no_call_is_repeated_by_ray(facts):
    """A call whose actor died was made once, although the actor came back: only we know what may be sent twice."""
    assert facts["asked to die"] == 1


def test_hosts_follow_what_is_wanted(facts):
    """A host that was ended for good is spawned anew, and one too many is ended."""
    assert facts["respawned"] == 2
    assert facts["fewer"] == [facts["names"][0]]
    assert facts["second is gone"]
    assert facts["all gone"]
