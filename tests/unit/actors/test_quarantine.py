"""When the supervisor has a host for runs that took two of theirs along, and when it ends it."""

from types import SimpleNamespace

import pytest

from actors import supervisor as module
from actors.supervisor import TriggerSupervisor


class Database:
    """Whether such runs are due."""

    due = False

    async def fetch(self, _statement, _parameters=None):
        """The one row of the question."""
        return [{"due": self.due}]


class Hosts:
    """Remembers how many hosts were asked for."""

    def __init__(self):
        self.asked = []

    async def ensure_hosts(self, kind, count):
        """As many as wanted."""
        self.asked.append((kind, count))
        return [SimpleNamespace(name="quarantine-1", handle=None)] * count


@pytest.fixture
def supervisor(monkeypatch, tmp_path):
    """A supervisor between two fakes; hosts stop at once."""
    monkeypatch.setenv("TASKE_DATA_DIR", str(tmp_path))
    made = TriggerSupervisor()
    made._database, made._hosts = Database(), Hosts()
    made.stopped = []

    async def stopped(host):
        made.stopped.append(host.name)

    monkeypatch.setattr(module, "_stopped", stopped)
    return made


async def test_no_host_while_nothing_is_suspected(supervisor):
    """What an earlier supervisor may have left is ended at the first look; after that nothing is asked of Ray."""
    await supervisor._ensure_quarantine()
    await supervisor._ensure_quarantine()
    assert supervisor._hosts.asked == [("quarantine", 0)]


async def test_a_suspect_gets_a_host_that_stays_for_a_while(supervisor, monkeypatch):
    """It is there while a suspect is due and for a minute after; then it is drained and ended."""
    supervisor._database.due = True
    await supervisor._ensure_quarantine()
    supervisor._database.due = False
    await supervisor._ensure_quarantine()
    assert supervisor._hosts.asked == [("quarantine", 1)] * 2
    monkeypatch.setattr(module, "_linger_s", 0.0)
    await supervisor._ensure_quarantine()
    assert supervisor._hosts.asked[2:] == [("quarantine", 0)]
    assert supervisor.stopped == ["quarantine-1"]
    assert supervisor._quarantine == []
