"""A document of a provider, fetched seldom, once for many at a time, and kept while the provider is away."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from taske_ray.integrations.sign_in.identity import ProviderAway

fresh_s = 3600.0
pause_s = 30.0
first_pause_s = 5.0

Document = TypeVar("Document")


class Remembered(Generic[Document]):
    """The last document that `fetch` gave. It raises ProviderAway when there is none."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Document]], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._fetch = fetch
        self._monotonic = monotonic
        self._document: Document | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._turn = asyncio.Lock()

    async def get(self, *, newer: bool = False) -> Document:
        """The document, at most an hour old where the provider answers. Raises ProviderAway.

        `newer`: what is here lacks something; the provider is asked again, every 30 s at most. Who comes while it is
        being asked waits for the answer, or takes what is here where that will do.
        """
        asked = self._monotonic()
        will_do = self._document is not None and not newer
        if self._is_due(newer=newer) and not (will_do and self._turn.locked()):
            async with self._turn:
                if self._tried_at < asked and self._is_due(newer=newer):
                    await self._look()
        if self._document is None:
            raise ProviderAway(retry_after_s=int(first_pause_s))
        return self._document

    def _is_due(self, *, newer: bool) -> bool:
        now = self._monotonic()
        if self._document is None:
            return now - self._tried_at >= first_pause_s
        return (newer or now - self._fetched_at >= fresh_s) and now - self._tried_at >= pause_s

    async def _look(self) -> None:
        try:
            self._document = await self._fetch()
        except ProviderAway:  # the one from before goes on to serve
            self._tried_at = self._monotonic()
        else:
            self._fetched_at = self._tried_at = self._monotonic()
