"""Which PostgreSQL servers are refused, because what they acknowledge may be lost."""

from dataclasses import replace

import pytest

from taske_ray.core.durable import Server, objection

SAFE = Server(
    fsync="on",
    full_page_writes="on",
    server_encoding="UTF8",
    synchronous_commit="on",
    server_version_num=150000,
    in_recovery=False,
    unlogged=None,
)


@pytest.mark.parametrize("waits", ["on", "local", "remote_write", "remote_apply"])
def test_a_server_that_keeps_what_it_acknowledges_is_taken(waits):
    """The oldest version that we know is enough, and so is every kind of commit that waits for the disk."""
    assert objection(replace(SAFE, synchronous_commit=waits)) is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"fsync": "off"}, "fsync must be on, not off"),
        ({"full_page_writes": "off"}, "full_page_writes must be on, not off"),
        ({"server_encoding": "LATIN1"}, "server_encoding must be UTF8, not LATIN1"),
        ({"synchronous_commit": "off"}, "synchronous_commit must not be off"),
        ({"server_version_num": 149999}, "version 15 or newer"),
        ({"in_recovery": True}, "in recovery: TASKE_DATABASE_URL must name the primary"),
        ({"unlogged": "skips"}, "The table skips is UNLOGGED"),
    ],
)
def test_what_may_lose_something_is_refused_by_name(given, says):
    """Each setting alone is enough for a refusal, which names it."""
    assert says in objection(replace(SAFE, **given))
