"""Outcomes find their host also after another one has taken its name."""

import pytest

from actors import cluster
from actors.cluster import ActorLost
from actors.replies import Replies
from taske_ray.core.outcome import Succeeded


class Ray:
    """Actors by name; each handle is known for as long as its actor lives."""

    def __init__(self):
        self.named, self.living, self.got = {}, set(), []

    def spawn(self, name, handle):
        """The actor of that name is this one from now on."""
        self.living.discard(self.named.get(name))
        self.named[name] = handle
        self.living.add(handle)

    async def find(self, name):
        """As Ray does, only the living ones."""
        handle = self.named.get(name)
        return handle if handle in self.living else None

    async def call(self, handle, method, batch):
        """Keep what a living one gets."""
        assert method == "outcomes"
        if handle not in self.living:
            raise ActorLost(method)
        self.got.append((handle, batch))


@pytest.fixture
def ray(monkeypatch):
    found = Ray()
    monkeypatch.setattr(cluster, "find", found.find)
    monkeypatch.setattr(cluster, "call", found.call)
    return found


async def test_outcomes_follow_the_name(ray):
    """A quarantine host that was ended, and the next one of its name: the second gets its outcomes, too."""
    replies, reply = Replies(), ("call", Succeeded({}))
    for handle in ("first", "second"):
        ray.spawn("quarantine-0", handle)
        replies.put("quarantine-0", reply)
        await drained(replies)
    assert ray.got == [("first", [reply]), ("second", [reply])]


async def test_a_host_that_is_not_there_loses_its_own_only(ray):
    """What cannot be delivered is given up, and what comes after its host is there arrives."""
    replies, reply = Replies(), ("call", Succeeded({}))
    replies.put("run-0", reply)
    await drained(replies)
    ray.spawn("run-0", "born")
    replies.put("run-0", reply)
    await replies.close()
    assert ray.got == [("born", [reply])]


async def drained(replies):
    """Everything that was put has been sent or given up."""
    for outbox in replies._outboxes.values():
        while outbox._messages._running:
            await next(iter(outbox._messages._running))
