"""Polls: the numbered rules one by one, then random arrivals that must each be found once."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taske_ray.core.outcome import Fetched, PolledItem
from taske_ray.core.polling import (
    Continuation,
    PollState,
    back_off,
    cursor_scope,
    decide,
    item_keys,
    needs_ledger,
    parse_state,
)
from taske_ray.core.times import parse_time

noon = datetime(2027, 5, 4, 12, tzinfo=UTC)
minute = timedelta(minutes=1)
every = 5 * minute


@dataclass
class Cursor:
    """The block `cursor`, with the start of a check as the format has it."""

    type: str = "timestamp"
    order: str = "none"
    format: str = "iso8601"
    initial: timedelta = timedelta()
    lookback: Any = timedelta()

    def start(self, stored, now, *, lookback=True):
        """Where a check begins, inclusively."""
        if self.type == "none":
            return {"from": None, "value": stored}
        if self.type == "integer":
            return {"from": (stored or 0) - (self.lookback if lookback else 0), "value": stored}
        first = parse_time(now) - self.initial if stored is None else parse_time(stored)
        return {"from": first - (self.lookback if lookback else timedelta()), "value": stored}


@dataclass
class Poll:
    """The block `poll`."""

    cursor: Cursor = field(default_factory=Cursor)
    emit: str = "each"
    max_emit: int = 500
    first_emit: int = 0


seeded = PollState(value=noon.isoformat(), first_done=True)


def item(key: str, minutes: float | None = None, version: str | None = None) -> PolledItem:
    value = None if minutes is None else (noon + minutes * minute).isoformat()
    return PolledItem(key, {"id": key}, version, value)


def check(state, items, poll=None, *, known=(), began_at=noon + 60 * minute, **more):
    return decide(state, Fetched(tuple(items), **more), poll or Poll(), began_at=began_at, every=every, known=known)


def emitted(decision) -> list[str]:
    return [candidate.key for candidate in decision.candidates]


def test_new_items_become_runs_and_move_the_cursor():
    """Items become candidates, oldest first, and the cursor is the greatest value seen."""
    decision = check(seeded, [item("b", 3), item("a", 1)])
    assert emitted(decision) == ["a", "b"]
    assert decision.state.value == (noon + 3 * minute).isoformat()
    assert (decision.next_check_in, decision.seed) == (every, ())


def test_equal_keys_count_once():
    """A key twice in one check is one item; with a version key each version is one."""
    twice = check(seeded, [item("a", 1), item("a", 2)])
    assert emitted(twice) == ["a"]
    assert twice.check["repeated"] == 1
    versions = check(seeded, [item("a", 1, "v1"), item("a", 2, "v2")])
    assert [(c.key, c.version_key, c.fire_key) for c in versions.candidates] == [
        ("a", "v1", '["a", "v1"]'),
        ("a", "v2", '["a", "v2"]'),
    ]


def test_the_cursor_never_goes_back():
    """Items that only `lookback` brought leave the cursor where it was."""
    assert check(seeded, [item("late", -4)]).state.value == seeded.value


def test_filtered_items_move_the_cursor_too():
    """What the filter dropped was seen: the cursor moves past it, also when nothing else came."""
    decision = check(seeded, [], passed=((noon + 5 * minute).isoformat(),))
    assert decision.state.value == (noon + 5 * minute).isoformat()


def test_the_cursor_never_passes_the_fetch():
    """An item dated in the future does not push the cursor past the moment the fetch began."""
    decision = check(seeded, [item("future", 1000)], began_at=noon + 5 * minute)
    assert parse_time(decision.state.value) == noon + 5 * minute


def test_the_first_check_seeds():
    """`first_run: skip`: the ledger learns all items and no run is made."""
    decision = check(PollState(), [item("a", 1), item("b", 2)])
    assert (decision.candidates, decision.seed) == ((), (("a", ""), ("b", "")))
    assert decision.state.first_done


@pytest.mark.parametrize(
    ("cursor", "expected"),
    [
        (Cursor(), ["b", "c"]),
        (Cursor(order="desc", type="none"), ["b", "a"]),
        (Cursor(order="asc", type="none"), ["b", "c"]),
        (Cursor(type="none"), ["a", "b"]),
    ],
)
def test_the_first_check_may_emit_the_newest(cursor, expected):
    """`first_run: {emit: 2}`: the newest two by cursor value, else by the list's order; the others are seeded."""
    decision = check(PollState(), [item("a", 1), item("b", 2), item("c", 3)], Poll(cursor, first_emit=2))
    assert emitted(decision) == expected
    assert len(decision.seed) == 1


def test_an_empty_first_check_fixes_its_start():
    """Without it the second check would begin at its own `initial`, and what came between would be lost."""
    decision = check(PollState(), [], Poll(Cursor(initial=10 * minute)), began_at=noon)
    assert parse_time(decision.state.value) == noon - 10 * minute


def test_more_than_max_emit_stays_out():
    """The rest stays out of the ledger, the cursor stays, and the next check follows at once."""
    poll = Poll(max_emit=2)
    fetched = [item(key, number) for number, key in enumerate("abcde")]
    assert needs_ledger(Fetched(tuple(fetched)), poll)
    decision = check(seeded, fetched, poll, known={("a", "")})
    assert emitted(decision) == ["a", "b", "c"]
    assert (decision.seed, decision.state, decision.next_check_in) == ((), seeded, timedelta())


def test_known_items_do_not_count_towards_max_emit():
    """Two new items among many known ones are not too many."""
    fetched = [item(key, number) for number, key in enumerate("abcde")]
    decision = check(seeded, fetched, Poll(max_emit=2), known={("a", ""), ("b", ""), ("c", "")})
    assert (decision.next_check_in, decision.state.value) == (every, (noon + 4 * minute).isoformat())


def test_batch_is_one_run():
    """`emit: batch` makes one candidate of all new items; all others are only in the ledger."""
    poll = Poll(emit="batch")
    fetched = [item("a", 1), item("b", 2), item("c", 3)]
    assert needs_ledger(Fetched(tuple(fetched)), poll)
    decision = check(seeded, fetched, poll, known={("a", "")})
    assert [candidate.output for candidate in decision.candidates] == [
        {"items": [{"id": "b"}, {"id": "c"}], "count": 2}
    ]
    assert decision.seed == (("a", ""), ("c", ""))
    assert check(seeded, fetched, poll, known=item_keys(Fetched(tuple(fetched)))).candidates == ()


def test_a_cut_ascending_check_continues():
    """With `order: asc` the next check follows at once from the last value; the cursor waits for the end."""
    poll = Poll(Cursor(order="asc", lookback=2 * minute))
    first = check(seeded, [item("a", 1), item("b", 2)], poll, truncated=True, began_at=noon + 9 * minute)
    assert (first.next_check_in, first.state.value) == (timedelta(), seeded.value)
    assert first.state.continuation == Continuation((noon + 2 * minute).isoformat(), (noon + 9 * minute).isoformat())
    assert cursor_scope(first.state, poll.cursor, "2027-05-04T12:10:00Z")["from"] == noon + 2 * minute
    last = check(first.state, [item("b", 2), item("c", 30)], poll, began_at=noon + 31 * minute)
    assert parse_time(last.state.value) == noon + 9 * minute
    assert (last.state.continuation, last.next_check_in) == (None, every)


def test_a_continuation_that_gets_no_further_is_incomplete():
    """It takes what it fetched, leaves the cursor and says so."""
    chain = PollState(seeded.value, True, Continuation((noon + 2 * minute).isoformat(), noon.isoformat()))
    decision = check(chain, [item("b", 2), item("c", 2)], Poll(Cursor(order="asc")), truncated=True)
    assert emitted(decision) == ["b", "c"]
    assert (decision.check["incomplete"], decision.state) == (True, seeded)
    assert decision.next_check_in == every


@pytest.mark.parametrize("cursor", [Cursor(order="desc"), Cursor(), Cursor(type="none", order="asc")])
def test_any_other_cut_is_incomplete(cursor):
    """A cut list in another order leaves the cursor; its items are taken."""
    decision = check(seeded, [item("a", 1)], Poll(cursor), truncated=True)
    assert (emitted(decision), decision.check["incomplete"], decision.state) == (["a"], True, seeded)


def test_unchanged_lists_are_an_empty_check():
    """A 304 keeps cursor and validators; they are stored only when everything was taken."""
    with_tag = check(seeded, [item("a", 1)], validators={"if-none-match": "x"})
    assert with_tag.state.validators == {"if-none-match": "x"}
    assert check(with_tag.state, [], not_modified=True).state == with_tag.state
    many = [item("a", 1), item("b", 2)]
    assert check(seeded, many, Poll(max_emit=1), validators={"if-none-match": "x"}).state.validators == {}


@pytest.mark.parametrize(
    ("notation", "raw"), [("epoch_s", 1809432060), ("epoch_ms", "1809432060000"), ("iso8601", "2027-05-04T12:01:00Z")]
)
def test_cursor_values_of_every_notation(notation, raw):
    """Whatever the service writes, the cursor is stored as a time."""
    decision = check(seeded, [PolledItem("a", None, None, raw)], Poll(Cursor(format=notation)))
    assert parse_time(decision.state.value) == noon + minute


def test_integer_cursors():
    """Integers are compared as integers, also as text; what is none is passed over."""
    poll = Poll(Cursor(type="integer"))
    items = [PolledItem(str(n), None, None, n) for n in ("9", 10, "x", None)]
    decision = check(PollState(value=3, first_done=True), items, poll)
    assert (decision.state.value, len(decision.candidates)) == (10, 4)
    assert check(PollState(first_done=True), [], poll).state.value is None


@pytest.mark.parametrize("key", ["x" * 513, "a\0b", "\ud800"])
def test_unwieldy_keys_are_hashed(key):
    """A key that no index or no text column holds stands there by its hash."""
    assert item_keys(Fetched((item(key),)))[0][0].startswith("sha256:")


def test_state_survives_storage():
    """What is stored is read back equal, and nothing stored is the state of a new trigger."""
    state = PollState(noon.isoformat(), True, Continuation(7, noon.isoformat()), {"if-none-match": "x"})
    assert parse_state(state.to_json()) == state
    assert parse_state(None) == PollState()


def test_back_off_grows_to_eight_times():
    """Failures in a row are answered with 1, 2, 4, 8, 8 times `every`, or as long as the service says."""
    assert [back_off(every, n) // every for n in (1, 2, 3, 4, 5, 50)] == [1, 2, 4, 8, 8, 8]
    assert back_off(every, 1, retry_after_s=3600) == timedelta(hours=1)
    assert back_off(every, 1, retry_after_s=-1) == every


@dataclass
class Service:
    """A list that shows items late, in an order, and no more than `cap` of them."""

    arrivals: list[tuple[int, int]]  # (minute of its date, minutes until it is shown)
    order: str
    cap: int

    def fetch(self, since: datetime | None, now: datetime) -> Fetched:
        """All items shown at `now` and dated `since` or later, inclusively."""
        shown = [
            item(str(number), at)
            for number, (at, late) in enumerate(self.arrivals)
            if noon + (at + late) * minute <= now and (since is None or noon + at * minute >= since)
        ]
        shown.sort(key=lambda one: one.cursor_value, reverse=self.order == "desc")
        return Fetched(tuple(shown[: self.cap]), truncated=len(shown) > self.cap)


arrival_lists = st.lists(st.tuples(st.integers(1, 200), st.integers(0, 7)), max_size=40)
kinds = [("asc", 45), ("asc", 6), ("desc", 45), ("none", 45)]
cursors = [(Cursor(order=order, lookback=8 * minute), cap) for order, cap in kinds]
lists = st.sampled_from([*cursors, (Cursor(type="none"), 45)])


@settings(max_examples=150, deadline=None)
@given(arrival_lists, lists, st.integers(1, 9), st.lists(st.integers(1, 30), max_size=12))
def test_random_arrivals_are_found_once(arrivals, kind, max_emit, pauses):
    """Every item shown after the first check becomes one run, however late it is shown and however the list is cut."""
    cursor, cap = kind
    dates = {}
    arrivals = [(at, late) for at, late in arrivals if dates.setdefault(at, []).append(1) or len(dates[at]) < 4]
    service, poll = Service(arrivals, cursor.order, cap), Poll(cursor, max_emit=max_emit)
    state, ledger, runs, now = PollState(), set(), [], noon
    for pause in [0, *pauses, 300, 300, 300]:
        now += pause * minute
        for _ in range(100):
            fetched = service.fetch(cursor_scope(state, cursor, now.isoformat())["from"], now)
            known = ledger & set(item_keys(fetched)) if needs_ledger(fetched, poll) else set()
            decision = decide(state, fetched, poll, began_at=now, every=every, known=known)
            new = [one for one in decision.candidates if (one.key, one.version_key) not in ledger]
            assert len(new) <= max_emit
            runs += [one.key for one in new]
            ledger |= {(one.key, one.version_key) for one in new} | set(decision.seed)
            state = parse_state(decision.state.to_json())
            if decision.next_check_in:
                break
        else:
            pytest.fail("the checks never came to rest")
    assert sorted(runs) == sorted(str(number) for number in range(len(arrivals)))
