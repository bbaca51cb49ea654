"""Names are looked up in threads: what fails for good and what for now, and whom slow answers delay."""

import asyncio
import socket
import threading

import pytest

from taske_ray.integrations.egress import EgressDenied, EgressGuard
from taske_ray.integrations.resolver import CheckingResolver, SystemLookup, asked_for
from tests.facts import until

ANSWER = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 443))]
FOR_NOW = (socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM, socket.EAI_MEMORY)
FOR_GOOD = (socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY)


class NameService:
    """Answers `slow…` when its gate opens and everything else at once; `asked` are the names under way or answered."""

    def __init__(self):
        self.gate = threading.Event()
        self.asked = []

    def __call__(self, host, _port):
        """The answer, in a thread."""
        self.asked.append(host)
        if host.startswith("slow"):
            assert self.gate.wait(20)
        return ANSWER

    def slow(self):
        """How many slow names are or were asked for."""
        return sum(host.startswith("slow") for host in self.asked)


@pytest.fixture
def names():
    """A name service whose gate is open at the end, so that its threads end."""
    found = NameService()
    yield found
    found.gate.set()


def ask(lookup, user, name):
    """Look a name up for a user, in a context of its own."""

    async def asking():
        asked_for.set(user)
        return await lookup(name, 443)

    return asyncio.create_task(asking())


async def test_slow_names_of_one_user_delay_nobody_else(names):
    """Of twenty slow names of one user eight are asked for; another's name is answered meanwhile; then all are."""
    lookup = SystemLookup(names)
    slow = [ask(lookup, "one", f"slow{number}") for number in range(20)]
    await until(lambda: names.slow() == 8, 5, "eight threads at work")
    assert await ask(lookup, "another", "quick") == ["93.184.215.14"]
    assert names.slow() == 8
    names.gate.set()
    assert await asyncio.gather(*slow) == [["93.184.215.14"]] * 20


async def test_a_thread_is_held_until_it_is_answered(names):
    """Whoever gives up waiting leaves the thread at work: it counts until it has ended, and then no longer."""
    lookup = SystemLookup(names)
    given_up = [ask(lookup, "one", f"slow{number}") for number in range(8)]
    await until(lambda: names.slow() == 8, 5, "eight threads at work")
    for task in given_up:
        task.cancel()
    await asyncio.wait(given_up)
    late = ask(lookup, "one", "quick")
    assert await ask(lookup, "another", "theirs") == ["93.184.215.14"]
    assert "quick" not in names.asked
    names.gate.set()
    assert await late == ["93.184.215.14"]
    await until(lambda: not lookup._of_users, 5, "nothing kept of users who ask for nothing")


@pytest.mark.parametrize("number", FOR_NOW)
async def test_a_broken_name_service_is_no_verdict(number):
    """The step is tried again later; a name of the inside is refused all the same."""
    resolver = refusing(number)
    with pytest.raises(OSError, match="refused"):
        await resolver.resolve("api.example.com", 443)
    with pytest.raises(EgressDenied):
        await resolver.resolve("db.internal", 443)


@pytest.mark.parametrize("number", FOR_GOOD)
async def test_a_name_that_does_not_exist_is_refused(number):
    """As one that leads inside is."""
    with pytest.raises(EgressDenied):
        await refusing(number).resolve("api.example.com", 443)


def refusing(number):
    """A resolver whose name service answers with this error."""

    def refuse(_host, _port):
        raise socket.gaierror(number, "refused")

    return CheckingResolver(EgressGuard(), SystemLookup(refuse))
