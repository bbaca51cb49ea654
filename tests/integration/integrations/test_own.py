"""What belongs to this machine and this instance, seen from a process of the instance."""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from ipaddress import ip_address

import pytest

from taske_ray.integrations.egress import EgressDenied, EgressGuard
from taske_ray.integrations.own import OwnMachine, open_guard
from taske_ray.settings import Settings

_listen = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""
_look = """
import json
from taske_ray.integrations.own import instance_ports
print(json.dumps(sorted(instance_ports())))
"""


def _python(code, mark):
    env = {name: value for name, value in os.environ.items() if name != "TASKE_INSTANCE"}
    env |= {"TASKE_INSTANCE": mark} if mark else {}
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", code], env=env, stdin=pipe, stdout=pipe, text=True)


def test_ports_of_the_same_instance():
    """What a process of the same instance listens on is found; another instance's and a stranger's are not."""
    with ExitStack() as stack:
        found = {}
        for mark in ("/data/one", "/data/two", None):
            process = stack.enter_context(_python(_listen, mark))
            stack.callback(process.stdin.close)
            found[mark] = int(process.stdout.readline())
        for mark in ("/data/one", "/data/two"):
            looking = stack.enter_context(_python(_look, mark))
            assert json.loads(looking.communicate()[0]) == [found[mark]]
        nobody = stack.enter_context(_python(_look, None))
        assert json.loads(nobody.communicate()[0]) == []


def test_a_network_opens_no_port_of_ours(monkeypatch):
    """A CIDR opens neighbours on this machine, not what the instance itself listens on; looked at again after 5 s."""
    ports, now = [30_001], 0.0
    monkeypatch.setattr("taske_ray.integrations.own.instance_ports", lambda: ports)
    guard = EgressGuard(["127.0.0.0/8", "10.0.0.0/8"], own=OwnMachine(ports=(8000, 6543), monotonic=lambda: now))
    for port in (8000, 6543, 30_001):
        with pytest.raises(EgressDenied):
            guard.check_url(f"http://127.0.0.1:{port}/")
    guard.check_url("http://127.0.0.1:3000/")
    guard.check_url("http://10.0.0.1:30001/")
    with pytest.raises(EgressDenied):
        guard.check_url("http://10.0.0.1:8000/")
    ports.append(3000)
    guard.check_url("http://127.0.0.1:3000/")
    now = 6.0
    with pytest.raises(EgressDenied):
        guard.check_url("http://127.0.0.1:3000/")


def test_addresses_of_this_machine():
    """Those of its interfaces, and no other."""
    machine = OwnMachine()
    assert machine.has_address(ip_address("127.0.0.1"))
    assert not machine.has_address(ip_address("93.184.215.14"))


def test_the_guard_of_an_instance(tmp_path):
    """The front door and the database of the settings are its own, wherever an entry leads."""
    settings = Settings(
        data_dir=tmp_path,
        port=8123,
        database_url="postgresql://u:p@10.0.0.9:6543/taske",
        egress_allow=("10.0.0.0/8",),
    )
    guard = open_guard(settings)
    guard.check_url("http://10.0.0.9:81/")
    for port in (8123, 6543):
        with pytest.raises(EgressDenied):
            guard.check_url(f"http://10.0.0.9:{port}/")
