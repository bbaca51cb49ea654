"""Taking a request's body in: no byte more than allowed, in time, and only so many long ones at once (security, 14)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.requests import Request

from taske_ray.errors import RequestTimeout, TooLarge, Unavailable, UnsupportedMediaType

max_bytes = 1024 * 1024
_short_bytes = 64 * 1024
_patience_s = 30.0
_least_s = 1.0
_taken_ms = "x-taske-taken-ms"  # by the front door, which no client gets past (`taske_ray/launcher/haproxy.py`)
_longest_length = 20


class Intake:
    """The door for bodies of one replica.

    Bodies beyond 64 KiB are held by `places` requests at once, so that their bytes and what is made of them stay
    bounded; a few more wait for a place without being read, and the rest hears to come again.
    """

    def __init__(self, limit: int = max_bytes, *, places: int = 24, waiting: int = 200) -> None:
        self._limit = limit
        self._places = asyncio.Semaphore(places)
        self._room = waiting

    @contextlib.asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The body, for as long as the block works on it, read no further than the limit whatever Content-Length says.

        Raises TooLarge, UnsupportedMediaType, RequestTimeout, Unavailable.
        """
        self._look(request)
        async with contextlib.AsyncExitStack() as held:
            try:
                async with asyncio.timeout(_time_left_s(request)):
                    found = await self._read(request, held)
            except TimeoutError:
                raise RequestTimeout from None
            yield found

    def _look(self, request: Request) -> None:
        if request.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("A request body must not be compressed")
        stated = request.headers.get("content-length", "")
        if stated.isdecimal() and (len(stated) > _longest_length or int(stated) > self._limit):
            raise self._too_large()

    async def _read(self, request: Request, held: contextlib.AsyncExitStack) -> bytes:
        chunks, size = [], 0
        async for chunk in request.stream():
            is_short = size <= _short_bytes
            size += len(chunk)
            if size > self._limit:
                raise self._too_large()
            chunks.append(chunk)
            if is_short and size > _short_bytes:
                await self._take_place(held)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _take_place(self, held: contextlib.AsyncExitStack) -> None:
        if self._room == 0:
            raise Unavailable("Too many long bodies at once", code="overloaded")
        self._room -= 1
        try:
            await held.enter_async_context(self._places)
        finally:
            self._room += 1

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self._limit // 1024} KiB")


def _time_left_s(request: Request) -> float:
    """What is left of the 30 seconds for a whole request; a moment at least for what is here already."""
    taken = request.headers.get(_taken_ms, "")
    taken_s = int(taken) / 1000 if taken.isdecimal() else 0.0
    return max(_patience_s - taken_s, min(_least_s, _patience_s))
