"""Clusters that others start: `cluster.yaml` against Ray's own rules, and joining a running Ray by its address."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema_rs
import psutil
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from taske_ray.db.embedded import EmbeddedPostgres
from taske_ray.launcher import environment, ports, processes
from taske_ray.security.vault import new_master_key
from tests.cluster.launcher_service import Service, free_port, nothing_is_left
from tests.facts import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "cluster.yaml").read_text())


def test_cluster_yaml_obeys_rays_schema():
    """Ray's own schema accepts the file as it stands, and as Ray completes it for the local provider."""
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    jsonschema_rs.validate(schema, CONFIG)
    validate_config(prepare_config(CONFIG))


def test_every_node_gets_the_environment_and_the_stand_in():
    """Head and workers read the environment file before Ray starts, and install what its variables name."""
    for kind in ("head", "worker"):
        command = CONFIG[f"{kind}_start_ray_commands"][-1]
        assert command.index(". ~/taske.env") < command.index("taske_ray.launcher.haproxy") < command.index("ray start")
    assert CONFIG["file_mounts"]["~/taske.env"] == "./taske.env"


def test_the_environment_file_is_read_by_a_shell():
    """What `python -m taske_ray.launcher.environment` prints sets each switch, with the home directory filled in."""
    script = 'set -a; . "$1"; set +a; env'
    with tempfile.NamedTemporaryFile("w", suffix=".env") as file:
        file.write(environment.node_file())
        file.flush()
        done = subprocess.run(
            ["sh", "-c", script, "sh", file.name], env={"HOME": "/home/x"}, capture_output=True, text=True, check=True
        )
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert found["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    assert found["RAY_AUTH_MODE"] == "token"
    assert found["RAY_SERVE_HAPROXY_BINARY_PATH"] == "/home/x/.taske/haproxy"


@pytest.fixture
def cluster():
    """A Ray of one node that somebody else started, with the environment a node has; its address."""
    folder = Path(tempfile.mkdtemp(prefix="taske-c-"))
    run_dir, port = folder / "n", free_port()
    run_dir.mkdir(mode=0o700)
    environ = {
        **os.environ,
        **environment.TUNING,
        **environment.front_door(run_dir=run_dir, ports=ports.block(folder), host="127.0.0.1"),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "c" * 64,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), str(ROOT)]),
        "TASKE_DATA_DIR": str(folder / "data"),
        processes.MARK: str(folder),
    }
    start = ["start", "--head", "--block", f"--port={port}", f"--temp-dir={folder / 'r'}", "--include-dashboard=false"]
    ray = Path(sys.executable).parent / "ray"
    node = subprocess.Popen(
        [ray, *start, "--num-cpus=4", "--object-store-memory=83886080", "--dashboard-agent-listen-port=0"],
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: any(each.name() == "raylet" for each in processes.marked(folder)), 60, "a raylet")
    yield f"127.0.0.1:{port}", folder
    node.terminate()
    processes.end(lambda: processes.marked(folder), within_s=2)
    node.wait()
    shutil.rmtree(folder, ignore_errors=True)


def test_joins_a_cluster_and_leaves_it_as_it_was(cluster, monkeypatch):
    """With an address and a database of its own it serves on a cluster; after SIGTERM the cluster is there, empty."""
    address, folder = cluster
    with EmbeddedPostgres(folder / "database").borrowed() as url:
        for name, value in {
            "TASKE_DATABASE_URL": url,
            "TASKE_MASTER_KEY": new_master_key(),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "c" * 64,
        }.items():
            monkeypatch.setenv(name, value)
        before = workers(folder)
        service = Service(folder / "data", address=address).start()
        assert service.answers()
        assert workers(folder) - before, "nothing of ours runs on the cluster"
        assert service.stop()[0] == 0
        nothing_is_left(service)
        wait_until(lambda: not {name for name in workers(folder) if name.startswith("ray::S")}, 20, "the end of ours")
        assert any(each.name() == "raylet" for each in processes.marked(folder))


def workers(folder):
    found = set()
    for process in processes.marked(folder):
        try:
            found.add(process.cmdline()[0])
        except (psutil.Error, IndexError):
            continue
    return found
