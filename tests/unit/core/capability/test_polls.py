"""Polls: where a check starts, what its items are, and when reading ends."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from taske_ray.core.capability import Capability, CursorSpec
from taske_ray.core.http import HttpResponse
from taske_ray.core.outcome import ErrorClass, Fetched, PolledItem

Make = Callable[..., Capability]
Play = Callable[..., Any]
_now = "2026-01-10T00:00:00Z"


def _poll(capability: Make, pagination: dict[str, Any] | None = None, **poll: Any) -> Capability:
    return capability(
        kind="trigger",
        request={"path": "/items", "query": {"since": "{{ cursor.from }}"}},
        response={"items": "{{ response.body.items }}", "item": {"n": "{{ item.name | upcase }}"}},
        poll={"key": "{{ item.id }}", **poll},
        pagination=pagination,
    )


def _check(talk: Play, one: Capability, *answers: Any, **context: Any) -> Fetched:
    outcome = talk(one, *answers, params={"name": "x"}, **context).outcome
    assert isinstance(outcome, Fetched)
    return outcome


def test_items_are_named_filtered_and_mapped(capability: Make, talk: Play) -> None:
    """Each item has its key as text, its version, its cursor value and its output; what the filter drops is counted."""
    one = _poll(
        capability,
        version_key="{{ item.rev }}",
        cursor={"type": "timestamp", "value": "{{ item.at }}"},
        filter="item.on",
    )
    items = [{"id": 1, "rev": 2, "at": "2026-01-01T00:00:00Z", "on": True, "name": "a"}, {"id": 2, "on": False}]
    found = _check(talk, one, {"items": items})
    assert found.items == (PolledItem("1", {"n": "A"}, "2", "2026-01-01T00:00:00Z"),)
    assert (found.filtered, found.invalid, found.truncated) == (1, 0, False)


def test_an_item_that_cannot_be_read_is_invalid(capability: Make, talk: Play) -> None:
    """A missing key or a template error makes that item invalid, not the check."""
    items = [{"id": None, "name": "a"}, {"id": 2, "name": None}, {"id": 3}, {"id": 4, "name": "d"}]
    found = _check(talk, _poll(capability), {"items": items})
    assert [item.key for item in found.items] == ["2", "4"]
    assert found.invalid == 2


def test_an_item_that_holds_the_credential_is_masked(capability: Make, talk: Play) -> None:
    """What a poll brings becomes a run's input: a secret of the connection is masked in it, its identity stays."""
    items = [{"id": "tok-s3cret", "name": "tok-s3cret"}]
    one = _poll(capability)
    (item,) = _check(talk, one, {"items": items}, connection={"token": "TOK-S3CRET"}).items
    assert (item.key, item.output) == ("tok-s3cret", {"n": "••••"})


def test_where_a_check_starts(capability: Make, talk: Play) -> None:
    """The request carries `cursor.from` of the check."""
    one = _poll(capability, cursor={"type": "timestamp", "value": "{{ item.at }}", "lookback": "PT5M"})
    assert one.poll is not None
    cursor = one.poll.cursor.start("2026-01-05T00:05:00Z", _now)
    request = talk(one, params={"name": "x"}, cursor=cursor).request
    assert request.url.endswith("?since=2026-01-05T00%3A00%3A00Z")


@pytest.mark.parametrize(
    ("spec", "stored", "start"),
    [
        (CursorSpec(), None, None),
        (CursorSpec("timestamp"), None, _now),
        (CursorSpec("timestamp", initial=timedelta(days=1)), None, "2026-01-09T00:00:00Z"),
        (CursorSpec("timestamp", lookback=timedelta(minutes=5)), _now, "2026-01-09T23:55:00Z"),
        (CursorSpec("timestamp", format="date"), "2026-01-05T12:00:00Z", "2026-01-05"),
        (CursorSpec("timestamp", format="epoch_s"), "1970-01-01T00:01:00Z", 60),
        (CursorSpec("timestamp", format="epoch_ms"), "1970-01-01T00:01:00Z", 60_000),
        (CursorSpec("integer", lookback=3), None, -3),
        (CursorSpec("integer", lookback=3), 10, 7),
    ],
)
def test_starts(spec: CursorSpec, stored: Any, start: Any) -> None:
    """A check starts at the stored value less the look-back, in the service's notation; the first one at `initial`."""
    assert spec.start(stored, _now) == {"from": start, "value": stored}


def test_a_continuation_starts_without_look_back() -> None:
    """A check that was cut goes on from exactly where it ended."""
    spec = CursorSpec("timestamp", lookback=timedelta(hours=1))
    assert spec.start("2026-01-05T00:00:00Z", _now, lookback=False)["from"] == "2026-01-05T00:00:00Z"


def test_a_descending_list_is_read_until_it_is_old(capability: Make, talk: Play) -> None:
    """With `order: desc` reading ends at the first page whose last item is older than the start."""
    pagination = {"type": "page", "send": {"in": "query", "name": "p"}}
    cursor = {"type": "integer", "value": "{{ item.id }}", "order": "desc"}
    one = _poll(capability, pagination, cursor=cursor)
    pages = [
        {"items": [{"id": 9, "name": "a"}, {"id": 8, "name": "b"}]},
        {"items": [{"id": 7, "name": "c"}, {"id": 4, "name": "d"}]},
    ]
    found = _check(talk, one, *pages, cursor={"from": 5, "value": 5})
    assert [item.key for item in found.items] == ["9", "8", "7", "4"]
    assert not found.truncated


def test_a_cut_list_says_so(capability: Make, talk: Play) -> None:
    """A cap on items or pages makes the check truncated."""
    pagination = {"type": "page", "send": {"in": "query", "name": "p"}, "max_items": 1}
    found = _check(talk, _poll(capability, pagination), {"items": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]})
    assert (len(found.items), found.truncated) == (1, True)


def test_unchanged_lists_are_not_read(capability: Make, talk: Play) -> None:
    """A conditional poll sends the validators that it got and takes 304 for an empty check."""
    one = _poll(capability, conditional=True)
    answer = HttpResponse(
        200,
        {"content-type": "application/json", "etag": '"1"', "last-modified": "Sat, 10 Jan 2026 00:00:00 GMT"},
        b'{"items":[]}',
    )
    found = _check(talk, one, answer)
    assert found.validators == {"etag": '"1"', "last_modified": "Sat, 10 Jan 2026 00:00:00 GMT"}
    again = talk(one, 304, params={"name": "x"}, validators=found.validators)
    assert again.request.headers["if-none-match"] == '"1"'
    assert again.request.headers["if-modified-since"] == "Sat, 10 Jan 2026 00:00:00 GMT"
    assert again.outcome == Fetched(not_modified=True, validators=found.validators)


def test_an_unasked_304_is_an_error(capability: Make, talk: Play) -> None:
    """Without `conditional`, a 304 is an answer like any other status."""
    outcome = talk(_poll(capability), 304, params={"name": "x"}).outcome
    assert outcome.error_class is ErrorClass.INVALID


def test_how_often_a_trigger_looks(capability: Make) -> None:
    """A trigger's own `every` comes before the capability's."""
    one = _poll(capability, every="PT2M", min_every="PT10S")
    assert one.poll is not None
    params = one.params.fill({"name": "x", "every": "PT30S"}, now=_now)
    assert one.poll.interval(params) == timedelta(seconds=30)
    assert one.poll.interval({}) == timedelta(minutes=2)
