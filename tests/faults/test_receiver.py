"""The ledger of the campaign: what it writes down, and each way in which it treats its callers badly."""

import contextlib
import itertools
import socket
import time

import pytest

from tests.bench.stand import running
from tests.bench.wire import request
from tests.faults.receiver import CONNECTIONS, TREATMENTS, read, treatment

pytestmark = pytest.mark.faults

SEED = "7"
PATIENCE_S = {"hang": 1.2, "late": 1.2, "half": 3, "trickle": 3}
"""How long to listen to what does not come to an end; `late` answers after 1.5 s, a trickle drips twice a second."""


@pytest.fixture
def ledger(tmp_path):
    """A receiver in a process of its own: its port and its file."""
    file = tmp_path / "ledger"
    with running("tests.faults.receiver", str(file), SEED) as stub:
        yield stub.port, file


def key_for(way):
    """A key whose first request is treated that way."""
    return next(key for key in map(str, itertools.count()) if treatment(key, SEED) == way)


def connection_for(way):
    """The number of the first connection that is treated that way."""
    return next(n for n in itertools.count(1) if treatment(f"connection {n}", SEED, CONNECTIONS) == way)


def asked(port, way, *, patience_s=None):
    """What comes back for one request on a connection of its own, and how that stands afterwards."""
    got, deadline = b"", time.monotonic() + (patience_s or PATIENCE_S.get(way, 10))
    with socket.create_connection(("127.0.0.1", port)) as connection:
        try:
            connection.sendall(request("POST", "/2", "x", b'{"event":"e1"}', {"idempotency-key": key_for(way)}))
            while not got.endswith((b"}", b"length: 0\r\n\r\n")):
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                piece = connection.recv(1000)
                if not piece:
                    return got, "closed"
                got += piece
        except TimeoutError:
            return got, "open"
        except ConnectionError:
            return got, "reset"
    return got, "answered"


def after_connections(port, count):
    """So many connections have come."""
    for _ in range(count):
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
            pass


@pytest.mark.parametrize(
    ("way", "start", "end"),
    [
        ("well", b"HTTP/1.1 200", "answered"),
        ("error", b"HTTP/1.1 500", "answered"),
        ("limit", b"HTTP/1.1 429", "answered"),
        ("hang_up", b"", "closed"),
        ("reset", b"", "reset"),
        ("hang", b"", "open"),
        ("half", b"HTTP/1.1 200", "open"),
        ("trickle", b"HTTP/1.1 200", "open"),
        ("late", b"", "open"),
    ],
)
def test_a_first_request_is_treated_as_drawn(ledger, way, start, end):
    """Written down, then treated in its way; the second one under the same key is written down and answered well."""
    port, file = ledger
    got, stands = asked(port, way)
    assert (got[:12], stands) == (start, end)
    assert got.endswith(b"  ") == (way == "trickle")
    again, stands = asked(port, way, patience_s=10)
    assert (again[:12], stands) == (b"HTTP/1.1 200", "answered")
    first, second = read(file)
    assert (first.key, first.event, first.step, first.path) == (key_for(way), "e1", 2, "/2")
    assert first.body == second.body != ""


@pytest.mark.parametrize("way", [name for name, _ in CONNECTIONS])
def test_a_connection_is_reset_before_it_is_read(ledger, way):
    """Its request is not in the ledger; the next connection is as good as any."""
    port, file = ledger
    after_connections(port, connection_for(way) - 1)
    assert asked(port, "well") == (b"", "reset")
    assert not read(file)
    assert asked(port, "well")[1] == "answered"


def test_failures_stay_below_the_budget_for_retries():
    """Of a hundred first requests fewer than ten fail, so that what is measured is not the budget."""
    assert sum(share for name, share in TREATMENTS if name != "late") < 10
