"""Outboxes: in order, batched while a call is in flight, bounded, and the sender learns what was lost."""

import asyncio

from actors.outbox import Outbox
from taske_ray.testing import eventually


class Receiver:
    """An actor that answers when it is let, or not at all."""

    def __init__(self):
        self.calls = []
        self.gate = asyncio.Event()
        self.error = None

    async def __call__(self, batch):
        """Take a batch."""
        self.calls.append(batch)
        await self.gate.wait()
        if self.error:
            raise self.error


async def test_messages_travel_in_order_and_together():
    """One message goes at once; those that come during the call go with the next one, in order."""
    receiver = Receiver()
    outbox = Outbox(receiver)
    assert outbox.put("a")
    await eventually(lambda: receiver.calls == [["a"]])
    for message in "bcd":
        outbox.put(message)
    receiver.gate.set()
    await outbox.close()
    assert receiver.calls == [["a"], ["b", "c", "d"]]


async def test_a_full_outbox_says_so():
    """Beyond its limit a message is refused, and the sender knows."""
    receiver = Receiver()
    outbox = Outbox(receiver, limit=2)
    outbox.put("in flight")
    await eventually(lambda: receiver.calls)
    assert [outbox.put(n) for n in range(3)] == [True, True, False]
    receiver.gate.set()
    await outbox.close()


async def test_what_could_not_be_sent_is_handed_back():
    """A failed call gives its whole batch to `lost` with the reason; later batches are sent."""
    receiver, lost = Receiver(), []
    receiver.error = ConnectionError("gone")
    receiver.gate.set()
    outbox = Outbox(receiver, lost=lambda batch, error: lost.append((batch, str(error))))
    outbox.put("a")
    outbox.put("b")
    await eventually(lambda: lost)
    receiver.error = None
    outbox.put("c")
    await outbox.close()
    assert lost == [(["a", "b"], "gone")]
    assert receiver.calls == [["a", "b"], ["c"]]


async def test_nudges_may_be_forgotten():
    """Without `lost` a failed call is only logged, and the outbox goes on."""
    receiver = Receiver()
    receiver.error = ConnectionError("gone")
    receiver.gate.set()
    outbox = Outbox(receiver)
    outbox.put("a")
    await eventually(lambda: receiver.calls)
    outbox.put("b")
    await outbox.close()
    assert receiver.calls == [["a"], ["b"]]
