"""What processes are called in the tables."""

import psutil
import pytest

from tests.bench.usage import Usage, instance, kind_of, usage


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (["postgres: taske taske [local] idle"], "PostgreSQL"),
        (["/opt/binaries/bin/postgres", "-D", "/data"], "PostgreSQL"),
        (["ray::ServeReplica:hooks:HooksApi"], "replica hooks"),
        (["ray::ServeController.listen_for_change"], "ServeController"),
        (["ray::RunHost"], "RunHost"),
        (["/venv/bin/python3", "/venv/bin/taske", "up", "--port", "1"], "launcher"),
        (["/venv/bin/python3", "-m", "taske_ray.launcher.runtime"], "runtime"),
        (["/ray/core/raylet", "--x"], "raylet"),
    ],
)
def test_kinds(command, kind):
    """A process is named by what it is, not by its path or what it does right now."""
    assert kind_of(command) == kind


def test_time_since():
    """Time between two looks is summed by kind; a process that is new counts from its start."""
    before = Usage({("a", 1): 1.0, ("b", 2): 5.0}, {}, 0.0, 0.0)
    after = Usage({("a", 1): 2.0, ("a", 3): 4.0, ("b", 2): 5.5}, {}, 1.0, 9.0)
    assert after.cpu_since(before) == {"a": 5.0, "b": 0.5}


def test_a_live_process():
    """A process that runs has used time and holds memory."""
    seen = usage([psutil.Process()], memory=True)
    assert sum(seen.cpu_s.values()) > 0
    assert seen.total_mib > 1


def test_no_instance(tmp_path):
    """Where nothing runs there is nothing to look at."""
    assert instance(tmp_path) == []
