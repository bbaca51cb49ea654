"""A database that cannot be started is tried again, in growing steps, and nobody is told the same thing each time."""

import itertools

import pytest

from taske_ray.errors import StartRefused
from taske_ray.launcher import kept_database
from taske_ray.launcher.kept_database import KeptDatabase


class Server:
    """A server that can be started only while there is `room`."""

    def __init__(self, _data_dir):
        self.is_running = False
        self.room = True
        self.tries = 0

    def start(self, *, patience_s=0.0):
        """Run, or be refused."""
        self.tries += 1
        if not self.room:
            raise StartRefused("no room")
        self.is_running = True
        return f"postgresql:///{patience_s}"

    def stop(self):
        """End."""
        self.is_running = False


@pytest.fixture
def kept(monkeypatch, tmp_path):
    """A kept database with such a server, a clock in `at` and what was `said`."""
    monkeypatch.setattr(kept_database, "EmbeddedPostgres", Server)
    said = []
    found = KeptDatabase(tmp_path, said.append, monotonic=lambda: found.at)
    found.at, found.said = 100.0, said
    found.start()
    said.clear()
    return found


def test_one_that_has_ended_is_started_at_once(kept):
    """And left alone while it runs."""
    kept.mend()
    assert not kept.said
    kept._server.is_running = False
    kept.mend()
    assert kept._server.is_running
    assert len(kept.said) == 1


def test_one_that_cannot_be_started_is_tried_again(kept):
    """After 1, 2, 5, 5, … seconds; told at the first failure and when it runs; the next time begins anew."""
    for _ in range(2):
        kept._server.is_running, kept._server.room, before = False, False, kept._server.tries
        tried = []
        for _ in range(150):
            kept.mend()
            if kept._server.tries > before + len(tried):
                tried.append(kept.at)
            kept.at += 0.1
        assert [round(later - earlier) for earlier, later in itertools.pairwise(tried)] == [1, 2, 5, 5]
        kept._server.room = True
        kept.at += 5
        kept.mend()
        assert kept._server.is_running
        assert [*kept.said] == [
            "PostgreSQL has ended; starting it again",
            "no room; trying again until it does",
            "PostgreSQL runs again",
        ]
        kept.said.clear()
