"""Outcomes on their way back to the hosts that wait for them, each host's in batches."""

from actors import cluster
from actors.cluster import ActorLost
from actors.integration_pool import Reply
from actors.outbox import Outbox


class Replies:
    """One outbox for each host, by the name of its actor. What does not arrive is asked for, or its time runs out."""

    def __init__(self) -> None:
        self._outboxes: dict[str, Outbox[Reply]] = {}

    def put(self, reply_to: str, reply: Reply) -> None:
        """Send it soon to the `outcomes` of the actor of that name."""
        outbox = self._outboxes.get(reply_to)
        if outbox is None:
            outbox = self._outboxes[reply_to] = Outbox(_Way(reply_to).send)
        outbox.put(reply)

    async def close(self) -> None:
        """Send what is there; later ones are refusals, for whoever has not noticed yet."""
        while self._outboxes:
            await self._outboxes.popitem()[1].close()


class _Way:
    """The way to whoever has a name now: a host that was ended for good is followed by another of the same name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._handle: cluster.Handle = None

    async def send(self, batch: list[Reply]) -> None:
        try:
            await self._hand_over(batch)
        except ActorLost:
            self._handle = None
            await self._hand_over(batch)

    async def _hand_over(self, batch: list[Reply]) -> None:
        self._handle = self._handle or await cluster.find(self._name)
        if self._handle is None:
            raise ActorLost(f"{self._name} is not there")
        await cluster.call(self._handle, "outcomes", batch)
