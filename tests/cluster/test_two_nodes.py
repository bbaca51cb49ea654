"""`taske up --address` on a cluster of two nodes: hosts and runs on both, and afterwards the cluster as it was."""

import base64
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
import psycopg
import pytest

from taske_ray.launcher import environment, ports, processes
from tests.cluster.engine import post
from tests.cluster.launcher_service import free_port
from tests.cluster.receiver import Answer, Receiver
from tests.e2e.conftest import Api
from tests.e2e.instance import instance
from tests.facts import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def receiver_here():
    """A receiver of this test's own: its address stands in the nodes' environment."""
    with Receiver() as found:
        yield found


@pytest.fixture
def handed_over(database_url, tmp_path):
    """The files that an operator copies to every node: no environment has the master key."""
    master = base64.b64encode(secrets.token_bytes(32)).decode()
    environ = {**os.environ, "TASKE_DATABASE_URL": database_url, "TASKE_MASTER_KEY": master}
    command = [sys.executable, "-m", "taske_ray.launcher.handover", str(tmp_path / "keys")]
    subprocess.run(command, env=environ, check=True)
    with (tmp_path / "secrets").open("w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(f"TASKE_DATABASE_URL={database_url}\n")
    return tmp_path


@pytest.fixture
def agreed(handed_over, receiver_here):
    """What every node and the launcher must agree on."""
    return {
        "TASKE_PUBLIC_URL": f"http://127.0.0.1:{free_port()}",
        "TASKE_SECRETS_FILE": str(handed_over / "secrets"),
        "TASKE_KEYS_DIR": str(handed_over / "keys"),
        "TASKE_EGRESS_ALLOW": receiver_here.place,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }


@pytest.fixture
def two_nodes(agreed):
    """The cluster's address."""
    folder = Path(tempfile.mkdtemp(prefix="taske-2-"))
    run_dir = folder / "n"
    run_dir.mkdir(mode=0o700)
    environ = {
        **os.environ,
        **environment.TUNING,
        **environment.front_door(run_dir=run_dir, ports=ports.block(folder), host="127.0.0.1"),
        **agreed,
        "PYTHONPATH": str(ROOT),
        "TASKE_DATA_DIR": str(folder / "data"),
        processes.MARK: str(folder),
    }
    with (folder / "log").open("wb") as log:
        cluster = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("two_nodes.py")],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        line = cluster.stdout.readline()
        assert line.startswith("address "), (folder / "log").read_text()[-3000:]
        yield line.split()[1]
        cluster.stdin.close()
        cluster.wait(20)
    finally:
        processes.end(lambda: processes.marked(folder), within_s=2)
        shutil.rmtree(folder, ignore_errors=True)


def test_hosts_and_runs_on_both_nodes(two_nodes, agreed, database_url, receiver_here):
    """Every kind of host lives on both nodes, runs are executed on both, and SIGTERM ends all of them."""
    gate = receiver_here.gate()
    url = receiver_here.serve(Answer(gate=gate))
    with (
        instance(**agreed) as found,
        psycopg.connect(database_url, autocommit=True) as database,
    ):
        found.port = int(agreed["TASKE_PUBLIC_URL"].rpartition(":")[2])
        found.start("--address", two_nodes)
        wait_until(lambda: nodes_of(database) == {"run": 2, "watcher": 2, "client": 2}, 60, "hosts on both nodes")
        with Api(found, found.account("min@example.com", admin=True)) as api:
            hook = api.task({"capability": "system.webhook"}, post(url))["trigger"]["hook_url"]
            ids = [httpx.post(hook, json={}, timeout=20).json()["run_id"] for _ in range(30)]
            wait_until(lambda: len(receiver_here.at(url)) == 30, 30, "every call")
            held = "SELECT h.node, count(*)::int FROM runs r JOIN hosts h ON h.id = r.owner GROUP BY 1"
            executing = database.execute(held).fetchall()
            gate.open()
            assert {api.ended(run_id)["status"] for run_id in ids} == {"succeeded"}
        assert len(executing) == 2
        assert sum(count for _, count in executing) == 30
        assert {each.key for each in receiver_here.at(url)} == {f"{run_id}:action1" for run_id in ids}
        assert found.stop()[0] == 0
        wait_until(lambda: not nodes_of(database), 5, "the end of every host")


def nodes_of(database):
    """On how many nodes each kind of host is live."""
    live = "state = 'live' AND expires_at > clock_timestamp()"
    return dict(
        database.execute(f"SELECT kind, count(DISTINCT node)::int FROM hosts WHERE {live} GROUP BY 1").fetchall()
    )
