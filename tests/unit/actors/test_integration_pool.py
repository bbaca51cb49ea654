"""The pool of clients from a host's side: every call has an outcome, whatever happens to the client."""

import asyncio
from types import SimpleNamespace

import pytest

from actors.cluster import ActorLost
from actors.integration_pool import IntegrationPool, Question
from taske_ray.clock import new_id
from taske_ray.core.call import Call
from taske_ray.core.outcome import Failed, Succeeded, Unknown
from taske_ray.core.retry import refusal_codes
from taske_ray.errors import Unavailable
from taske_ray.testing import eventually


class Clients:
    """A directory of clients that take calls; `dead` ones take nothing, `watching` ends when they die."""

    def __init__(self):
        self.ids = [new_id()]
        self.submitted = []
        self.looks = 0
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.died = asyncio.Event()
        self.lost = False
        self.recorded = []
        self.remembered = {}

    def pick(self, kind, key, *, without=()):
        """Pick."""
        assert kind == "client"
        ids = [client for client in self.ids if client not in without]
        return ids[key[-1] % len(ids)] if ids else None

    def of_kind(self, kind):
        """Of kind."""
        assert kind == "client"
        return [SimpleNamespace(id=client) for client in self.ids]

    async def look(self):
        """Look."""
        self.looks += 1
        if self.away:
            raise Unavailable

    async def call(self, client, method, *args, timeout_s=None):  # noqa: ARG002 - as the port has it
        """Call."""
        if method == "watch":
            await self.died.wait()
            raise ActorLost
        await self.gate.wait()
        if self.lost:
            raise ActorLost
        if method == "outcome_of":
            return self.remembered.get(args[0].call_id)
        to, reply_to, calls, recorded = args
        assert to == client
        self.recorded += recorded
        self.submitted.append((client, reply_to, [call.id for call in calls]))
        return None


def call(name="c", **more):
    return Call(f"{name}", new_id(), "http.request", 1, {}, "2027-05-04T12:00:00Z", **more)


@pytest.fixture
async def clients():
    found = Clients()
    yield found
    found.gate.set()
    found.died.set()  # whoever watches goes; a watch that is collected later disturbs whatever runs then
    await eventually(lambda: not [task for task in asyncio.all_tasks() if "_watch" in task.get_coro().__qualname__])


@pytest.fixture
async def pool(clients):
    return IntegrationPool(clients, reply_to="run-1")


async def test_an_outcome_reaches_its_own_call(pool, clients):
    """Calls travel together, and each answer goes to the call of its id, in any order."""
    waiting = [asyncio.create_task(pool.perform(call(f"c{n}"))) for n in range(3)]
    await eventually(lambda: sum(len(ids) for _, _, ids in clients.submitted) == 3)
    assert {reply_to for _, reply_to, _ in clients.submitted} == {"run-1"}
    assert pool.in_flight == 3
    pool.outcomes([("c2", Succeeded(2)), ("nobody", Succeeded(9)), ("c0", Succeeded(0))])
    pool.outcomes([("c1", Succeeded(1)), ("c1", Succeeded("late"))])
    assert [outcome.output for outcome in await asyncio.gather(*waiting)] == [0, 1, 2]
    assert pool.in_flight == 0


async def test_calls_gather_while_the_last_batch_is_in_flight(pool, clients):
    """What comes during a submit goes with the next one."""
    clients.gate.clear()
    waiting = [asyncio.create_task(pool.perform(call("first")))]
    await eventually(lambda: pool.in_flight == 1)
    await asyncio.sleep(0)
    waiting += [asyncio.create_task(pool.perform(call(f"c{n}"))) for n in range(5)]
    await eventually(lambda: pool.in_flight == 6)
    clients.gate.set()
    await eventually(lambda: len(clients.submitted) == 2)
    assert clients.submitted[1][2] == [f"c{n}" for n in range(5)]
    pool.outcomes([(f"c{n}", Succeeded(n)) for n in range(5)] + [("first", Succeeded(0))])
    await asyncio.gather(*waiting)


async def test_one_connection_is_one_client(pool, clients):
    """All calls of a connection go to the same client, whatever their ids."""
    clients.ids = [new_id() for _ in range(5)]
    connection = new_id()
    waiting = [asyncio.create_task(pool.perform(call(f"c{n}", connection_id=connection))) for n in range(20)]
    await eventually(lambda: sum(len(ids) for *_, ids in clients.submitted) == 20)
    assert len({client for client, *_ in clients.submitted}) == 1
    pool.outcomes([(f"c{n}", Succeeded(n)) for n in range(20)])
    await asyncio.gather(*waiting)


async def test_one_user_is_one_client_where_calls_are_limited(clients):
    """What a user may do to a host is counted in one place, with a connection and without."""
    clients.ids, user = [new_id() for _ in range(5)], new_id()
    pool = IntegrationPool(clients, reply_to="run-1", by_user=True)
    calls = [Call(f"c{n}", user, "x", 1, {}, "", connection_id=new_id() if n % 2 else None) for n in range(10)]
    assert len({await pool.choose(one.user_id, one.connection_id, one.id) for one in calls}) == 1
    assert len({await pool.choose(new_id(), None, "c") for _ in range(40)}) > 1


async def test_a_client_that_left_may_still_be_heard(pool, clients):
    """Its last answers count; what it has not answered a second later nobody can know; it gets nothing new."""
    answered, silent = [asyncio.create_task(pool.perform(call(name))) for name in ("c1", "c2")]
    await eventually(lambda: sum(len(ids) for *_, ids in clients.submitted) == 2)
    pool.left(clients.ids[0])
    pool.outcomes([("c1", Succeeded(1))])
    assert await answered == Succeeded(1)
    assert (await pool.perform(call("c3"))).code == "no_client"
    assert isinstance(await silent, Unknown)


async def test_a_client_that_dies_leaves_unknown_outcomes(pool, clients):
    """As soon as the process is gone, its calls are unknown; new ones are not sent to it, and count for nothing."""
    waiting = [asyncio.create_task(pool.perform(call(f"c{n}"))) for n in range(3)]
    await eventually(lambda: clients.submitted)
    clients.died.set()
    outcomes = await asyncio.gather(*waiting)
    assert [type(outcome) for outcome in outcomes] == [Unknown] * 3
    assert {outcome.code for outcome in outcomes} == {"client_lost"}
    refused = await pool.perform(call("next"))
    assert (refused.sent, refused.code in refusal_codes) == (False, True)
    clients.ids = [new_id()]  # it came back as a new incarnation
    clients.died.clear()
    waiting = asyncio.create_task(pool.perform(call("again")))
    await eventually(lambda: clients.submitted[-1][2] == ["again"])
    pool.outcomes([("again", Succeeded(1))])
    assert await waiting == Succeeded(1)


async def test_calls_pass_by_a_client_that_has_just_died(pool, clients):
    """While the rows still show it, its calls are given to another; without another they wait."""
    dead, other = clients.ids[0], new_id()
    clients.ids = [dead, other]
    pool.gone(dead)
    assert {await pool.choose(new_id(), None, f"c{n}") for n in range(20)} == {other}
    clients.ids = [dead]
    assert await pool.choose(new_id(), None, "c") is None


async def test_a_client_that_the_rows_declare_gone_does_too(pool, clients):
    """The end of its lease is as good a reason as the end of its process."""
    waiting = asyncio.create_task(pool.perform(call()))
    await eventually(lambda: clients.submitted)
    pool.gone(clients.ids[0])
    assert isinstance(await waiting, Unknown)
    pool.gone(new_id())


async def test_a_batch_that_did_not_arrive_for_certain_is_unknown(pool, clients):
    """A submit that fails may have arrived: its calls are unknown, not failed."""
    clients.lost = True
    assert isinstance(await pool.perform(call()), Unknown)


async def test_without_a_client_nothing_is_sent(pool, clients):
    """No live client: look once more, then say that nothing was sent; such a failure only waits."""
    clients.ids = []
    outcome = await pool.perform(call())
    assert isinstance(outcome, Failed)
    assert (outcome.sent, outcome.code, clients.looks) == (False, "no_client", 1)
    assert outcome.code in refusal_codes
    clients.away = True
    assert (await pool.perform(call())).sent is False


async def test_a_full_outbox_sends_nothing(pool, clients):
    """When a client takes no more, further calls come back unsent and at once."""
    clients.gate.clear()
    waiting = [asyncio.create_task(pool.perform(call(f"{n}"))) for n in range(10_300)]
    await eventually(lambda: any(task.done() for task in waiting), within_s=20)
    refused = [task.result() for task in waiting if task.done()]
    assert refused
    assert {outcome.sent for outcome in refused} == {False}
    assert pool.in_flight + len(refused) == 10_300
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert pool.in_flight == 0


async def test_a_client_that_never_answers_is_unknown_in_the_end(pool, monkeypatch):
    """Past the call's own limit and a grace, the host stops waiting."""
    monkeypatch.setattr("actors.integration_pool._grace_s", 0.01)
    outcome = await pool.perform(call(timeout_s=0.01))
    assert isinstance(outcome, Unknown)
    assert pool.in_flight == 0
    pool.outcomes([("c", Succeeded(1))])


async def test_a_call_is_made_by_the_client_that_its_intent_names_or_not_at_all(pool, clients):
    """With a client named, no other makes the call: when that one is gone, nothing is sent."""
    named, other = clients.ids[0], new_id()
    clients.ids = [other, named]
    waiting = asyncio.create_task(pool.perform(call(), named))
    await eventually(lambda: clients.submitted)
    assert clients.submitted[0][0] == named
    pool.outcomes([("c", Succeeded(1))])
    assert await waiting == Succeeded(1)
    clients.ids = [other]
    assert (await pool.perform(call(), named)).sent is False


async def test_an_outcome_that_was_not_recorded_is_asked_of_its_client(pool, clients):
    """A live client tells what became of a call; of one that is not live, or lost, nobody can tell."""
    question = Question("c", clients.ids[0], "run_1", fence=2, age_s=1.0, timeout_s=1.0)
    clients.remembered["c"] = Succeeded(7)
    assert await pool.adopt(question) == Succeeded(7)
    clients.lost = True
    assert await pool.adopt(question) is None
    clients.lost, clients.ids = False, [new_id()]
    assert await pool.adopt(question) is None


async def test_a_client_that_began_after_the_last_look_is_asked_too(pool, clients):
    """Whoever adopts looks once more before it says that nobody can tell."""
    late = new_id()
    clients.remembered["c"] = Succeeded(7)

    async def look():
        clients.ids = [late]

    clients.look = look
    assert await pool.adopt(Question("c", late, "run_1", fence=2, age_s=1.0, timeout_s=1.0)) == Succeeded(7)


async def test_recorded_outcomes_are_acknowledged_with_the_next_calls_or_soon(pool, clients):
    """The client learns which outcomes it may forget, on the way of other calls or by itself."""
    client = clients.ids[0]
    pool.acknowledge("a", client)
    waiting = asyncio.create_task(pool.perform(call()))
    await eventually(lambda: clients.submitted)
    assert clients.recorded == ["a"]
    pool.acknowledge("b", client)
    await pool.tell_recorded()
    assert clients.recorded == ["a", "b"]
    await pool.tell_recorded()
    assert clients.recorded == ["a", "b"]
    pool.outcomes([("c", Succeeded(1))])
    await waiting
