"""What a poll's check found and where the next one starts (format, section 6, whose rules are numbered here).

One check: `cursor_scope` says where to begin, the list is fetched, `decide` says what to insert and the state to keep.
All of it goes into one transaction that is refused if another check moved the cursor meanwhile. The ledger decides what
is new: `decide` needs to know what is in it only when there may be more than one check takes, or for a batch
(`needs_ledger`); reading it beforehand is safe, because only a check of this trigger that moves the cursor adds to it.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from taske_ray.core.fire_keys import key_from_outside
from taske_ray.core.outcome import Fetched, PolledItem
from taske_ray.core.retry import obeyed_wait_s
from taske_ray.core.times import parse_time

longest_key_bytes = 512
most_back_off = 8
CursorValue = Any  # a datetime or an integer, by the type of the cursor; the two never meet
ItemKey = tuple[str, str]


class CursorRules(Protocol):
    """The block `cursor` of a poll."""

    @property
    def type(self) -> str: ...  # noqa: D102 - named by the format
    @property
    def format(self) -> str: ...  # noqa: D102
    @property
    def order(self) -> str: ...  # noqa: D102
    @property
    def initial(self) -> timedelta: ...  # noqa: D102
    def start(self, stored: Any, now: str, *, lookback: bool = True) -> dict[str, Any]: ...  # noqa: D102


class PollRules(Protocol):
    """The block `poll`, as far as deciding needs it."""

    @property
    def cursor(self) -> CursorRules: ...  # noqa: D102 - named by the format
    @property
    def emit(self) -> str: ...  # noqa: D102
    @property
    def max_emit(self) -> int: ...  # noqa: D102
    @property
    def first_emit(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Continuation:
    """A check that was cut goes on from `value`; `began_at` is when the first of the chain began (rule 6)."""

    value: Any
    began_at: str


@dataclass(frozen=True, slots=True)
class PollState:
    """What a trigger remembers between checks, all of it in its row. Times are RFC 3339 with microseconds."""

    value: Any = None
    first_done: bool = False
    continuation: Continuation | None = None
    validators: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it is stored."""
        chain = self.continuation
        kept = None if chain is None else {"value": chain.value, "began_at": chain.began_at}
        return {
            "value": self.value,
            "first_done": self.first_done,
            "continuation": kept,
            "validators": dict(self.validators),
        }


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that becomes a run if the ledger does not know it. `fire_key` is that of its event."""

    key: str
    version_key: str
    fire_key: str
    output: Any


@dataclass(frozen=True, slots=True)
class PollDecision:
    """What one check writes: candidates for runs, keys only for the ledger, the next state, and its counters.

    `next_check_in` counts from the moment the check began; zero: at once.
    """

    state: PollState
    next_check_in: timedelta
    candidates: tuple[Candidate, ...] = ()
    seed: tuple[ItemKey, ...] = ()
    check: Mapping[str, Any] = field(default_factory=dict)


def parse_state(stored: Mapping[str, Any] | None) -> PollState:
    """The state as it was stored; a trigger that was never checked has none."""
    stored = stored or {}
    chain = stored.get("continuation")
    return PollState(
        value=stored.get("value"),
        first_done=bool(stored.get("first_done")),
        continuation=None if chain is None else Continuation(chain["value"], chain["began_at"]),
        validators=dict(stored.get("validators") or {}),
    )


def cursor_scope(state: PollState, cursor: CursorRules, now: str) -> dict[str, Any]:
    """The names `cursor.from` and `cursor.value` for the requests of a check that begins `now` (rules 1 and 6)."""
    if state.continuation is not None:
        return cursor.start(state.continuation.value, now, lookback=False)
    return cursor.start(state.value, now)


def needs_ledger(fetched: Fetched, poll: PollRules) -> bool:
    """Whether `decide` must be told which of the items the ledger knows."""
    return poll.emit == "batch" or len(fetched.items) > poll.max_emit


def item_keys(fetched: Fetched) -> list[ItemKey]:
    """The items' keys as the ledger has them, each once, in the order of the list (rule 2)."""
    return list(dict.fromkeys(_ledger_key(item) for item in fetched.items))


def decide(
    state: PollState,
    fetched: Fetched,
    poll: PollRules,
    *,
    began_at: datetime,
    every: timedelta,
    known: Collection[ItemKey] = frozenset(),
) -> PollDecision:
    """Digest one complete check. `known`: which of its keys are in the ledger, if `needs_ledger`."""
    if fetched.not_modified:
        return PollDecision(replace(state, first_done=True), every, check=_counters(fetched, 0))
    items = _oldest_first(fetched, poll.cursor)
    overflow = False
    if state.first_done:
        new = [key for key in items if key not in known]
        overflow = len(new) > poll.max_emit
        chosen = set(new[: poll.max_emit])
    else:
        chosen = _first_run(items, fetched, poll)
    after, next_in, incomplete = (
        (state, timedelta(), False) if overflow else _move(state, fetched, poll, began_at, every)
    )
    if poll.emit == "batch":
        candidates = _batch(items, chosen)
    elif state.first_done:
        candidates = tuple(_candidate(key, items[key].output) for key in items if key in chosen or key in known)
    else:
        candidates = tuple(_candidate(key, items[key].output) for key in items if key in chosen)
    left_out = set(new[poll.max_emit :]) if overflow else set()
    taken = {(candidate.key, candidate.version_key) for candidate in candidates} | left_out
    return PollDecision(
        state=after,
        next_check_in=next_in,
        candidates=candidates,
        seed=tuple(key for key in items if key not in taken),
        check={**_counters(fetched, len(items)), "incomplete": incomplete},
    )


def back_off(every: timedelta, consecutive_errors: int, retry_after_s: float | None = None) -> timedelta:
    """When to check again after the n-th failure in a row: from `every` up to eight times that (rule 9), or as told."""
    factor = min(most_back_off, 1 << max(0, min(consecutive_errors - 1, 10)))
    return max(every * factor, timedelta(seconds=obeyed_wait_s(retry_after_s) or 0))


def _move(
    state: PollState, fetched: Fetched, poll: PollRules, began_at: datetime, every: timedelta
) -> tuple[PollState, timedelta, bool]:
    """The state after a check whose items are all taken, when to look next, and whether something was left behind."""
    rules, chain = poll.cursor, state.continuation
    seen = [*(item.cursor_value for item in fetched.items), *fetched.passed]
    values = [found for value in seen if (found := _value(rules, value)) is not None]
    done = replace(state, first_done=True, continuation=None, validators={})
    limit = began_at if chain is None else parse_time(chain.began_at)
    if fetched.truncated:
        started = _value_stored(rules, chain.value if chain else state.value)
        goes_on = rules.order == "asc" and values and (started is None or chain is None or max(values) > started)
        if not goes_on:
            return replace(done, value=_fixed_start(state, rules, limit)), every, True
        first_began = chain.began_at if chain else _write(began_at)
        onward = replace(done, first_done=state.first_done, continuation=Continuation(_write(max(values)), first_began))
        return onward, timedelta(), False
    if chain is not None:  # what earlier checks of the chain saw counts too
        values += [value for value in [_value_stored(rules, chain.value)] if value is not None]
    validators = dict(fetched.validators)
    return replace(done, value=_advanced(state, rules, values, limit), validators=validators), every, False


def _advanced(state: PollState, rules: CursorRules, values: list[CursorValue], limit: datetime) -> Any:
    """The greatest value seen, never back, and for times never past the moment the fetch began (rule 3)."""
    if rules.type == "none":
        return None
    if not values:
        return _fixed_start(state, rules, limit)
    stored = _value_stored(rules, state.value)
    if rules.type == "timestamp":
        values = [min(value, limit) for value in values]
    return _write(max(values if stored is None else [*values, stored]))


def _fixed_start(state: PollState, rules: CursorRules, began_at: datetime) -> Any:
    """The cursor as it is. A first check that moved nothing fixes `initial`: the start must not follow the clock."""
    if state.value is None and rules.type == "timestamp":
        return _write(began_at - rules.initial)
    return state.value


def _first_run(items: Mapping[ItemKey, PolledItem], fetched: Fetched, poll: PollRules) -> set[ItemKey]:
    """The newest N of a first check (rule 4); while it is being continued, none yet."""
    count = min(poll.first_emit, poll.max_emit)
    if count == 0 or (fetched.truncated and poll.cursor.order == "asc"):
        return set()
    newest_first = poll.cursor.order == "none" and poll.cursor.type == "none"  # as most lists without a word on it are
    return set(list(items)[:count] if newest_first else list(items)[-count:])


def _oldest_first(fetched: Fetched, rules: CursorRules) -> dict[ItemKey, PolledItem]:
    """The items by ledger key, each once: by the order that the list has or the cursor gives, else as they came."""
    items = list(fetched.items)
    if rules.order == "desc":
        items.reverse()
    elif rules.order == "none" and rules.type != "none":
        dated = [(_value(rules, item.cursor_value), item) for item in items]
        items = [item for value, item in dated if value is None]
        items += [item for _, item in sorted((pair for pair in dated if pair[0] is not None), key=lambda pair: pair[0])]
    found: dict[ItemKey, PolledItem] = {}
    for item in items:
        found.setdefault(_ledger_key(item), item)
    return found


def _batch(items: Mapping[ItemKey, PolledItem], chosen: Collection[ItemKey]) -> tuple[Candidate, ...]:
    """One run for all new items, known to the ledger by the first of them."""
    outputs = [item.output for key, item in items.items() if key in chosen]
    first = next((key for key in items if key in chosen), None)
    return () if first is None else (_candidate(first, {"items": outputs, "count": len(outputs)}),)


def _candidate(key: ItemKey, output: Any) -> Candidate:
    fire_key = json.dumps(key, ensure_ascii=False) if key[1] else key_from_outside(key[0])
    return Candidate(key[0], key[1], fire_key, output)


def _ledger_key(item: PolledItem) -> ItemKey:
    return _indexable(item.key), _indexable(item.version_key or "")


def _indexable(text: str) -> str:
    """A key that fits into an index: long ones, and those PostgreSQL has no text for, by their SHA-256."""
    raw = text.encode("utf-8", "surrogatepass")
    storable = len(raw) <= longest_key_bytes and b"\0" not in raw and raw.decode("utf-8", "replace") == text
    return text if storable else f"sha256:{hashlib.sha256(raw).hexdigest()}"


def _value(rules: CursorRules, raw: Any) -> CursorValue:
    """A cursor value as it can be compared; None where an item has none that can be read."""
    try:
        if rules.type == "integer":
            return int(raw)
        if rules.type == "timestamp":
            return _read_time(raw, rules.format)
    except (TypeError, ValueError, OverflowError):
        return None
    return None


def _read_time(raw: Any, notation: str) -> datetime:
    if notation in {"epoch_s", "epoch_ms"}:
        seconds = float(raw) / (1000 if notation == "epoch_ms" else 1)
        return datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
    return parse_time(raw).astimezone(UTC)


def _value_stored(rules: CursorRules, stored: Any) -> CursorValue | None:
    """A value of the state: always RFC 3339 or an integer, whatever the service writes."""
    if stored is None or rules.type == "none":
        return None
    return int(stored) if rules.type == "integer" else parse_time(stored).astimezone(UTC)


def _write(value: CursorValue) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


def _counters(fetched: Fetched, distinct: int) -> dict[str, Any]:
    return {
        "fetched": len(fetched.items) + fetched.filtered + fetched.invalid,
        "filtered": fetched.filtered,
        "invalid": fetched.invalid,
        "repeated": max(0, len(fetched.items) - distinct),
        "not_modified": fetched.not_modified,
        "incomplete": False,
    }
