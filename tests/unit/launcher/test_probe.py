"""The probe of the front door: what counts as a door that hangs."""

import socket
import threading

import pytest

from taske_ray.launcher import probe
from taske_ray.launcher.probe import Probe


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(probe, "DOOR_LIMIT_S", 0.1)


@pytest.fixture
def door():
    """A listening socket; the system takes connections for it, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


def test_a_door_that_takes_connections_and_does_not_answer_hangs(door):
    """Each miss counts."""
    asked = Probe(*door.getsockname())
    assert [asked.door_misses() for _ in range(3)] == [1, 2, 3]


def test_a_refused_connection_is_no_hang(door):
    """Nobody waits there: who watches HAProxy starts another."""
    asked = Probe(*door.getsockname())
    assert asked.door_misses() == 1
    door.close()
    assert [asked.door_misses() for _ in range(2)] == [0, 0]


def test_an_answer_ends_the_count(door):
    """Misses count in a row only, whatever the answer says."""
    asked = Probe(*door.getsockname())
    assert asked.door_misses() == 1
    door.accept()[0].close()  # the one that was not answered

    def answer():
        connection, _ = door.accept()
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        connection.close()

    answering = threading.Thread(target=answer)
    answering.start()
    assert asked.door_misses() == 0
    answering.join()
    assert asked.door_misses() == 1
