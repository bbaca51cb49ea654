"""Taking bodies in: never more bytes than allowed, in time, and only so many long ones at once."""

import asyncio

import pytest
from starlette.requests import Request

from deployments.shared import intake
from deployments.shared.intake import Intake
from taske_ray.errors import RequestTimeout, TooLarge, Unavailable, UnsupportedMediaType

LONG = b"x" * 70_000


def request(chunks, **headers):
    """A request whose body comes in these pieces; None: the rest never comes."""
    parts = iter(chunks)

    async def receive():
        part = next(parts, b"")
        if part is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": part, "more_body": part != b""}

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": pairs}, receive)


async def taken(door, *chunks, **headers):
    async with door.body(request(chunks, **headers)) as body:
        return body


async def test_bytes_are_counted_while_they_arrive():
    """A body over the limit is refused whatever Content-Length says, and before the rest is read."""
    door = Intake(4)
    assert await taken(door, b"ab", b"cd") == b"abcd"
    assert await taken(door) == b""
    with pytest.raises(TooLarge):
        await taken(door, b"ab", b"cd", b"e", None, content_length="1")
    for stated in ("5", "9" * 5000):
        with pytest.raises(TooLarge):
            await taken(door, None, content_length=stated)


async def test_compressed_bodies_are_refused():
    """No request compression, so no bombs."""
    with pytest.raises(UnsupportedMediaType):
        await taken(Intake(), b"{}", content_type="application/json", content_encoding="gzip")
    assert await taken(Intake(), b"{}", content_encoding="Identity") == b"{}"


async def test_what_does_not_arrive_in_time_is_given_up(monkeypatch):
    """A body that stops half-way is 408, and gives its place back."""
    monkeypatch.setattr(intake, "_patience_s", 0.05)
    door = Intake(places=1)
    for _ in range(2):
        with pytest.raises(RequestTimeout):
            await taken(door, LONG, None)
    assert await taken(door, LONG) == LONG


async def test_what_the_front_door_waited_for_counts(monkeypatch):
    """The 30 seconds are for the whole request; what is here already is taken however long it took."""
    monkeypatch.setattr(intake, "_least_s", 0.05)
    assert await taken(Intake(), LONG, x_taske_taken_ms="60000") == LONG
    with pytest.raises(RequestTimeout):
        await taken(Intake(), LONG, None, x_taske_taken_ms="30000")
    assert intake._time_left_s(request([], x_taske_taken_ms="12500")) == 17.5
    assert intake._time_left_s(request([], x_taske_taken_ms="-1")) == 30


async def test_long_bodies_take_turns_and_short_ones_pass():
    """One at once, one more waits unread, the third is sent away; short ones need no place; a place comes back."""
    door, first_is_in, go = Intake(places=1, waiting=1), asyncio.Event(), asyncio.Event()

    async def first():
        async with door.body(request([LONG])):
            first_is_in.set()
            await go.wait()

    read, second_is_in = [], asyncio.Event()

    async def second():
        async def receive():
            read.append(LONG)
            second_is_in.set()
            return {"type": "http.request", "body": LONG, "more_body": len(read) < 5}

        async with door.body(Request({"type": "http", "headers": []}, receive)) as body:
            return body

    holding = asyncio.create_task(first())
    await first_is_in.wait()
    waiting = asyncio.create_task(second())
    await second_is_in.wait()
    with pytest.raises(Unavailable):
        await taken(door, LONG)
    assert await taken(door, b"short") == b"short"
    assert len(read) == 1
    go.set()
    await holding
    assert len(await waiting) == 5 * len(LONG)
    assert await taken(door, LONG) == LONG
