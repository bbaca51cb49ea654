"""The memory of first answers: whose they are, how long they stay, and that they stay within bounds."""

from uuid import UUID

import pytest

from taske_ray.core.call import Call
from taske_ray.core.capability import ConnectionValues
from taske_ray.integrations import kept_answers
from taske_ray.integrations.kept_answers import KeptAnswers
from taske_ray.integrations.ports import OpenedConnection
from taske_ray.testing import ManualClock

ALICE, BOB, ONE, TWO = (UUID(int=number) for number in range(1, 5))


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def answers(clock):
    return KeptAnswers(clock.monotonic)


def seen_by(answers, user=ALICE, connection=ONE, credential=1, capability="shop.x", version=1):
    """What a call of this user finds in the memory."""
    call = Call("c", user, capability, version, {}, "2026-01-01T00:00:00Z", connection_id=connection)
    opened = OpenedConnection("shop", ConnectionValues("key"), id=connection, version=credential)
    return answers.of(call, opened if connection else None)


OTHERS = [
    {"user": BOB},
    {"connection": TWO},
    {"connection": None},
    {"credential": 2},
    {"capability": "shop.y"},
    {"version": 2},
]


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_nobody_else_finds_an_answer(answers, other):
    """Another user, connection, credential, capability or version of it asks for itself."""
    seen_by(answers).keep("room:1", "7", 60)
    assert seen_by(answers).find("room:1") == "7"
    assert seen_by(answers, **other).find("room:1") is None


def test_without_a_connection_it_is_the_users(answers):
    """Calls without a connection share what they were told within one user."""
    seen_by(answers, connection=None).keep("room:1", "7", 60)
    assert seen_by(answers, connection=None).find("room:1") == "7"
    assert seen_by(answers, user=BOB, connection=None).find("room:1") is None


def test_an_answer_ends(answers, clock):
    """After its seconds it is forgotten, and a newer one counts from its own moment."""
    mine = seen_by(answers)
    mine.keep("room:1", "7", 60)
    clock.advance(59)
    assert mine.find("room:1") == "7"
    clock.advance(1)
    assert mine.find("room:1") is None
    mine.keep("room:1", "8", 60)
    clock.advance(59)
    assert mine.find("room:1") == "8"


def kept(mine, names):
    """Which of these are there."""
    return [name for name in names if mine.find(name) is not None]


def test_they_are_bounded_in_number(answers, monkeypatch):
    """The one that nobody used for longest goes."""
    monkeypatch.setattr(kept_answers, "most_kept", 3)
    mine = seen_by(answers)
    for name in "abc":
        mine.keep(name, "1", 60)
    mine.find("a")
    mine.keep("d", "1", 60)
    assert kept(mine, "abcd") == ["a", "c", "d"]


def test_they_are_bounded_in_bytes(answers, monkeypatch):
    """One kept again counts once; one that is too large is not kept, and does not leave an older one in its place."""
    monkeypatch.setattr(kept_answers, "most_bytes", 3 * (100 + kept_answers.overhead))
    monkeypatch.setattr(kept_answers, "largest", 100)
    mine = seen_by(answers)
    for _ in range(9):
        mine.keep("a", "1" * 100, 60)
    for name in "bc":
        mine.keep(name, "1" * 100, 60)
    assert kept(mine, "abc") == ["a", "b", "c"]
    mine.keep("d", "1" * 100, 60)
    assert kept(mine, "abcd") == ["b", "c", "d"]
    mine.keep("c", "1" * 101, 60)
    assert kept(mine, "bcd") == ["b", "d"]
    mine.keep("e", "1" * 100, 60)
    assert kept(mine, "bde") == ["b", "d", "e"]
