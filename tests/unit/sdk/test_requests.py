"""Requests, replies, paging: without any network."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import BaseModel

from taske_ray.errors import TaskeError
from taske_ray.sdk.requests import Emit, Reply, collect, each, get, parse, path, post, query


class Thing(BaseModel):
    """An item of a list."""

    name: str


def test_path_escapes_every_segment():
    """An identifier with slashes or dots stays one segment, so it cannot address something else."""
    assert path("api", "../admin?x=1") == "/api/..%2Fadmin%3Fx%3D1"


def test_query_writes_instants_as_utc():
    """Times go out as RFC 3339 UTC, booleans in lower case, None not at all."""
    seoul = datetime(2027, 1, 4, 9, tzinfo=timezone(timedelta(hours=9)))
    assert query(a=seoul, b=None, c=True, d=5) == {"a": "2027-01-04T00:00:00Z", "c": "true", "d": "5"}
    assert query(a=datetime(2027, 1, 4, tzinfo=UTC)) == {"a": "2027-01-04T00:00:00Z"}


def test_posts_can_be_repeated():
    """Every POST carries its own Idempotency-Key."""
    first, second = post("/x"), post("/x")
    assert first.repeatable
    assert first.headers["Idempotency-Key"] != second.headers["Idempotency-Key"]


def test_each_follows_cursors():
    """A list asks for page after page until there is no cursor, keeping the other query parameters."""
    flow = each(Thing, get("/things", q="x"))
    assert dict(next(flow).query) == {"q": "x"}
    assert flow.send(Reply(200, {}, b'{"items": [{"name": "a"}], "next_cursor": "c"}')) == Emit(Thing(name="a"))
    assert dict(next(flow).query) == {"q": "x", "cursor": "c"}
    assert flow.send(Reply(200, {}, b'{"items": [{"name": "b"}], "next_cursor": null}')) == Emit(Thing(name="b"))
    with pytest.raises(StopIteration):
        next(flow)


def test_collect_swallows_what_is_emitted():
    """Collecting a list passes its requests on and returns its items."""
    flow = collect(each(Thing, get("/things")))
    next(flow)
    with pytest.raises(StopIteration) as stop:
        flow.send(Reply(200, {}, b'{"items": [{"name": "a"}, {"name": "b"}], "next_cursor": null}'))
    assert stop.value.value == [Thing(name="a"), Thing(name="b")]


@pytest.mark.parametrize("content", [b"<html>", b"{}", b""])
def test_parse_says_that_something_else_answered(content):
    """A body that is no answer of Taske is a TaskeError that asks about the URL."""
    with pytest.raises(TaskeError, match="URL"):
        parse(Thing, Reply(200, {}, content))
