"""Workers by fork: born with their own arguments, environment, chance and fate; the ordinary way without a nursery."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from taske_ray.launcher import nursery as births
from taske_ray.launcher import worker
from taske_ray.launcher.plan import SERVICE
from tests.facts import wait_until

PROGRAM = """
import json, os, pathlib, random, sys, uuid
from taske_ray.clock import new_id
told = {
    "arguments": sys.argv[1:], "shared": "fractions" in sys.modules, "given": os.environ.get("GIVEN"),
    "folder": os.getcwd(), "name": __name__, "id": str(new_id()), "chance": random.random(), "pid": os.getpid(),
    "group": os.getpgid(0),
}
out = pathlib.Path(sys.argv[1])
out.with_suffix(".new").write_text(json.dumps(told))
out.with_suffix(".new").rename(out)
"""


@pytest.fixture
def nursery(tmp_path):
    """A nursery that shares one small module; the path of its socket."""
    (tmp_path / "toy_plan.py").write_text(
        "from taske_ray.launcher.plan import Plan\n"
        "PLAN = Plan((), 's:S', 'u:u', 'p:p', shared=('fractions', 'taske_ray.clock'))\n"
    )
    path = tmp_path / "w"
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{Path.cwd()}", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "taske_ray.launcher.nursery", str(path), "toy_plan:PLAN"], env=environ
    )
    wait_until(lambda: births.order(str(path), limit_s=20), 30, "an answer of the nursery")
    yield path
    process.kill()
    process.wait()


def order(program, out, **environ):
    """Run `worker.py` as the raylet does, and return what the worker told."""
    arguments = [sys.executable, worker.__file__, str(program), str(out), "--language=PYTHON"]
    started = subprocess.run(arguments, env={**os.environ, **environ}, cwd=out.parent, check=False, timeout=60)
    assert started.returncode == 0
    wait_until(out.exists, 30, "the worker's output")
    return json.loads(out.read_text())


def test_a_worker_is_born_as_if_it_had_been_started(tmp_path, nursery):
    """Its arguments, environment, folder and main module are the order's; the shared modules are there already."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    told = order(program, tmp_path / "one", TASKE_NURSERY=str(nursery), GIVEN="7", PYTHONPATH=str(Path.cwd()))
    assert told["arguments"] == [str(tmp_path / "one")]
    assert (told["given"], told["folder"], told["name"]) == ("7", str(tmp_path), "__main__")
    assert told["shared"]
    assert told["group"] == told["pid"]


def test_a_module_gets_the_streams_of_its_order(tmp_path, nursery):
    """Its standard input and output are those that came with the order, for whoever waits for its last word."""
    (tmp_path / "echo_of.py").write_text("import sys\nprint(sys.stdin.readline().strip() * 2, flush=True)\n")
    (stdin, question), (answer, stdout) = os.pipe(), os.pipe()
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert births.order(str(nursery), ["echo_of"], environ, streams=(stdin, stdout), limit_s=20)
    os.close(stdin)
    os.close(stdout)
    with os.fdopen(question, "w") as asked, os.fdopen(answer) as told:
        asked.write("word\n")
        asked.flush()
        assert told.read() == "wordword\n"


def test_it_answers_without_giving_birth_and_passes_over_half_an_order(nursery):
    """A question whether it lives makes no process; whoever connects and says nothing holds nobody up for long."""
    assert births.order(str(nursery), limit_s=20)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.connect(str(nursery))
        assert births.order(str(nursery), limit_s=20)


def test_siblings_do_not_share_their_chance(tmp_path, nursery):
    """Two workers of one nursery draw different identifiers and different random numbers."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    one, two = (order(program, tmp_path / name, TASKE_NURSERY=str(nursery)) for name in ("one", "two"))
    assert one["id"][-12:] != two["id"][-12:]
    assert one["chance"] != two["chance"]


def test_without_a_nursery_a_worker_starts_the_ordinary_way(tmp_path):
    """A nursery that is not there costs memory, not workers."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    told = order(program, tmp_path / "one", TASKE_NURSERY=str(tmp_path / "gone"), PYTHONPATH=str(Path.cwd()))
    assert not told["shared"]
    assert told["arguments"] == [str(tmp_path / "one")]


def test_what_the_service_shares_is_quiet():
    """The modules loaded before the fork load no Ray, start no thread and open no connection."""
    script = (
        "import sys, json\nfrom taske_ray.launcher import nursery\n"
        "from taske_ray.launcher.plan import SERVICE\n"
        "nursery._load(SERVICE.shared)\n"
        "import psutil\nprint(len(psutil.Process().net_connections(kind='all')))\n"
    )
    environ = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "0", done.stderr
    assert SERVICE.shared
