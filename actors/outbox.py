"""Messages to another actor: gathered while the previous batch is in flight, sent as one call."""

import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from taske_ray.gather import Gatherer

Message = TypeVar("Message")
_log = logging.getLogger(__name__)


class Outbox(Generic[Message]):
    """One destination's messages, in order and bounded. `send` passes a batch on as one call.

    `turn` says whose a message is, where senders are to take turns. What could not be sent goes to `lost`, with the
    reason; by default it is forgotten, because a nudge may be.
    """

    def __init__(
        self,
        send: Callable[[list[Message]], Awaitable[None]],
        *,
        turn: Callable[[Message], Hashable] = lambda _: None,
        lost: Callable[[list[Message], Exception], None] | None = None,
        most: int = 200,
        limit: int = 10_000,
    ) -> None:
        self._send = send
        self._lost = lost or _forget
        self._messages = Gatherer(self._pass_on, turn=turn, most=most, limit=limit)

    def __len__(self) -> int:
        return len(self._messages)

    def put(self, message: Message) -> bool:
        """Take a message; False when the outbox is full or closed."""
        return self._messages.offer(message)

    async def close(self) -> None:
        """Take nothing more; return when everything taken was sent or lost."""
        await self._messages.close()

    async def _pass_on(self, batch: list[Message]) -> None:
        try:
            await self._send(batch)
        except Exception as error:  # noqa: BLE001 - whatever happened, the sender decides about its messages
            self._lost(batch, error)


def _forget(batch: list[Message], error: Exception) -> None:
    _log.info("%d nudges were not delivered (%s); their receiver will look by itself", len(batch), error)
