"""Taking over a run with an open call: the client that was to make it is asked before anything is sent again."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from actors.cluster import ActorLost
from actors.compiled_tasks import CompiledTask
from actors.integration_client import IntegrationClient
from actors.integration_pool import IntegrationPool, Question
from actors.workflow_run import Trust, WorkflowRun
from taske_ray.clock import new_id
from taske_ray.core.call import Call
from taske_ray.core.outcome import ErrorClass, Failed, Succeeded, Unknown
from taske_ray.core.retry import never_began
from taske_ray.core.run import Action, RunStatus
from taske_ray.db.fire_values import AssignedRun
from taske_ray.db.runs import Advance, Advanced, RecordedStep

NOW = datetime(2027, 5, 4, 12, tzinfo=UTC)
CLIENT, RUN = UUID(int=7), UUID(int=1)


class Template:
    """Parameters without places."""

    def evaluate(self, _scope: Any) -> dict[str, Any]:
        """They are empty."""
        return {}


@dataclass
class Log:
    """Remembers what was saved; `owned` False: the run is somebody else's by now."""

    saved: list[Advance] = field(default_factory=list)
    owned: bool = True

    async def advance(self, advance: Advance) -> Advanced:
        """Take it down."""
        self.saved.append(advance)
        return Advanced(self.owned)


@dataclass
class Clients:
    """One client, which knows what `knows` says of earlier calls and succeeds at new ones."""

    knows: Any = None
    asked: list[Question] = field(default_factory=list)
    made: list[tuple[str, UUID | None]] = field(default_factory=list)
    acknowledged: list[tuple[str, UUID]] = field(default_factory=list)

    async def choose(self, _user_id: UUID, _connection_id: UUID | None, _call_id: str) -> UUID:
        """There is only one."""
        return CLIENT

    async def perform(self, call: Call, at: UUID | None) -> Succeeded:
        """Make the call."""
        self.made.append((call.id, at))
        return Succeeded("made")

    async def adopt(self, question: Question) -> Any:
        """Answer what it knows."""
        self.asked.append(question)
        return self.knows

    def acknowledge(self, call_id: str, client: UUID) -> None:
        """Take it down."""
        self.acknowledged.append((call_id, client))


def compiled(count: int = 1) -> CompiledTask:
    """A task of so many calls that nobody may repeat unasked."""
    actions = tuple(
        Action(n, f"action{n}", "http.request", 1, Template(), on_unknown="ask") for n in range(1, count + 1)
    )
    capability: Any = SimpleNamespace(executor=None, execution="request", idempotency=None)
    return CompiledTask("t", actions, {action.number: capability for action in actions})


def interrupted(client: UUID | None = CLIENT, status: str = "unknown") -> list[RecordedStep]:
    """Step 1 with a call that has no outcome."""
    started = (NOW - timedelta(seconds=40)).isoformat()
    attempt = {"number": 1, "status": status, "started_at": started, "client": client and str(client)}
    return [RecordedStep(1, "action1", "http.request", "running", {}, None, None, NOW, (attempt,))]


def a_run(log: Log, clients: Clients, recorded: list[RecordedStep], count: int = 1) -> WorkflowRun:
    """The run, in the hands of its next owner."""
    run = AssignedRun(RUN, UUID(int=2), 2, UUID(int=3), UUID(int=4), 1, None, {})
    one = WorkflowRun(
        run,
        compiled(count),
        recorded,
        log=log,
        integrations=clients,
        trust=Trust(now=lambda: NOW, ends_at=lambda: 0.0, host=new_id),
        jitter=lambda: 0.5,
    )
    one._classify = lambda _action, _params: "ask"
    return one


async def test_the_outcome_that_a_client_kept_is_adopted():
    """It closes the open attempt, nothing is sent again, and the client hears that it is recorded."""
    log, clients = Log(), Clients(knows=Succeeded({"n": 1}, 201))
    assert await a_run(log, clients, interrupted()).execute() == RunStatus.SUCCEEDED
    (question,) = clients.asked
    assert (question.call_id, question.client, question.fence) == (f"run_{RUN.hex}:1:1", CLIENT, 2)
    assert question.age_s == pytest.approx(40)
    (last,) = log.saved
    assert (last.closed[0].number, last.closed[0].status, last.closed[0].http_status) == (1, "succeeded", 201)
    assert last.progressed
    assert clients.made == []
    assert clients.acknowledged == [(question.call_id, CLIENT)]


async def test_a_call_that_its_client_never_had_is_made_now():
    """The first attempt is failed and not sent; the second is opened and made, though the class is `ask`."""
    never = Failed(ErrorClass.TRANSIENT, never_began, "nothing was sent", sent=False)
    log, clients = Log(), Clients(knows=never)
    assert await a_run(log, clients, interrupted()).execute() == RunStatus.SUCCEEDED
    first = log.saved[0]
    assert (first.closed[0].status, first.closed[0].sent, first.closed[0].counted) == ("failed", False, False)
    assert (first.opened[0].number, first.opened[0].client) == (2, CLIENT)
    assert not first.progressed
    assert clients.made == [(f"run_{RUN.hex}:1:2", CLIENT)]


@pytest.mark.parametrize("client", [None, CLIENT])
async def test_without_an_answer_the_policy_decides(client):
    """No client on record, or one that cannot tell: an `ask` call parks the run, and nothing is sent."""
    log, clients = Log(), Clients(knows=None)
    assert await a_run(log, clients, interrupted(client)).execute() == RunStatus.NEEDS_ATTENTION
    assert (len(clients.asked), clients.made) == (client is not None, [])


async def test_nobody_is_asked_about_a_fresh_run():
    """Every intent names its client, and each outcome is acknowledged after it is saved."""
    log, clients = Log(), Clients()
    assert await a_run(log, clients, [], count=2).execute() == RunStatus.SUCCEEDED
    assert clients.asked == []
    assert [one.client for save in log.saved for one in save.opened] == [CLIENT, CLIENT]
    assert [made[0] for made in clients.made] == [acknowledged[0] for acknowledged in clients.acknowledged]


async def test_an_outcome_that_was_not_saved_is_not_acknowledged():
    """Fenced out after the call: the client keeps the outcome for the new owner."""
    log, clients = Log(), Clients()
    run = a_run(log, clients, [])
    perform = clients.perform

    async def lose_the_run(call: Call, at: UUID | None) -> Succeeded:
        log.owned = False
        return await perform(call, at)

    clients.perform = lose_the_run
    assert await run.execute() is None
    assert (len(clients.made), clients.acknowledged) == (1, [])


# the pool and the client --------------------------------------------------------------------------------------


class Directory:
    """One live client; calls to it are taken down and answered by `answer`."""

    def __init__(self, answer: Any = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answer = answer

    def pick(self, _kind: str, _key: bytes, *, without: Any = ()) -> UUID:  # noqa: ARG002 - as the port has it
        """The client."""
        return CLIENT

    def of_kind(self, _kind: str) -> list[Any]:
        """The client's row."""
        return [SimpleNamespace(id=CLIENT)]

    async def look(self) -> None:
        """Nothing new."""

    async def call(self, host_id: UUID, method: str, *args: Any, timeout_s: float | None = None) -> Any:
        """Answer, or be lost."""
        self.calls.append((host_id, method, *args, timeout_s))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


QUESTION = Question("c1", CLIENT, "run_1", 2, 5.0, 30.0)


async def test_a_pool_asks_only_a_live_client():
    """The question goes to the incarnation that the intent names; when that is gone nobody can tell."""
    directory = Directory(Succeeded("kept"))
    pool = IntegrationPool(directory, reply_to="me")
    assert await pool.adopt(QUESTION) == Succeeded("kept")
    assert await pool.adopt(replace(QUESTION, client=UUID(int=8))) is None
    assert [call[:3] for call in directory.calls] == [(CLIENT, "outcome_of", QUESTION)]


@pytest.mark.parametrize("error", [ActorLost("died"), TimeoutError()])
async def test_a_client_that_dies_or_hangs_while_asked_cannot_tell(error):
    """That is no answer, not a failure of the call."""
    assert await IntegrationPool(Directory(error), reply_to="me").adopt(QUESTION) is None


async def test_recorded_outcomes_are_told_when_no_call_takes_them_along():
    """Acknowledgements gather and go as one message, once."""
    directory = Directory()
    pool = IntegrationPool(directory, reply_to="me")
    pool.acknowledge("c1", CLIENT)
    pool.acknowledge("c2", CLIENT)
    await pool.tell_recorded()
    await pool.tell_recorded()
    assert [call[1:6] for call in directory.calls] == [("submit", CLIENT, "me", [], ["c1", "c2"])]


async def test_a_call_is_refused_when_the_client_of_its_intent_is_gone():
    """No other client may make it: the next owner would ask the wrong one. Nothing was sent."""
    pool = IntegrationPool(Directory(), reply_to="me")
    call = Call("c1", UUID(int=3), "http.request", 1, {}, "2027-05-04T12:00:00Z")
    outcome = await pool.perform(call, UUID(int=8))
    assert (outcome.code, outcome.sent) == ("no_client", False)


class Ledger:
    """The part of a client that knows its calls."""

    def __init__(self, outcome: Any) -> None:
        self.outcome = outcome
        self.acknowledged: list[str] = []

    def acknowledge(self, call_ids: Any) -> None:
        """Forget them."""
        self.acknowledged += call_ids

    async def outcomes_of(self, _call_id: str, **_asker: Any) -> Any:
        """What it knows."""
        return self.outcome


@pytest.mark.parametrize(
    ("asked", "known", "expected"),
    [
        (CLIENT, Succeeded("kept"), Succeeded("kept")),
        (CLIENT, Unknown("?"), Unknown("?")),
        (UUID(int=8), None, None),
    ],
)
async def test_a_client_answers_for_its_own_incarnation(asked, known, expected):
    """A process that Ray started in place of the one that is meant says nothing about that one's calls."""
    client = IntegrationClient.__new__(IntegrationClient)
    client._process = SimpleNamespace(lease=SimpleNamespace(host_id=CLIENT))
    client._client = Ledger(known)
    assert await client.outcome_of(replace(QUESTION, client=asked)) == expected


async def test_a_call_that_a_client_never_had_was_not_sent():
    """The answer is a failure that costs no attempt."""
    client = IntegrationClient.__new__(IntegrationClient)
    client._process = SimpleNamespace(lease=SimpleNamespace(host_id=CLIENT))
    client._client = Ledger(None)
    outcome = await client.outcome_of(QUESTION)
    assert (outcome.code, outcome.sent) == (never_began, False)


async def test_a_call_that_was_meant_for_an_earlier_incarnation_is_not_begun():
    """Its intent names a process that is gone, of whom nobody could learn what came of it: it is sent back unsent."""
    client = IntegrationClient.__new__(IntegrationClient)
    client._process = SimpleNamespace(lease=SimpleNamespace(host_id=CLIENT))
    client._client, client._draining = Ledger(None), False
    replies: list[Any] = []
    client._replies = SimpleNamespace(put=lambda to, reply: replies.append((to, reply)))
    call = Call("c1", UUID(int=3), "http.request", 1, {}, "2027-05-04T12:00:00Z")
    await client.submit(UUID(int=8), "me", [call], ["c0"])
    assert [(to, *reply[:1], reply[1].code, reply[1].sent) for to, reply in replies] == [
        ("me", "c1", "no_client", False)
    ]
    assert client._client.acknowledged == ["c0"]


@pytest.mark.parametrize(
    ("client", "renewed", "ours", "expected"),
    [
        (CLIENT, None, 900.0, 100.0),
        (CLIENT, 130.0, 900.0, 130.0),
        (CLIENT, 130.0, 120.0, 120.0),
        (UUID(int=8), 130.0, 900.0, 0.0),
    ],
    ids=["as it was handed over", "renewed since", "ours ends before", "an incarnation before ours"],
)
def test_a_call_may_send_within_both_leases(client, renewed, ours, expected):
    """Its caller's as far as that was renewed and seen to be, and that of the incarnation that it was handed to."""
    actor = IntegrationClient.__new__(IntegrationClient)
    actor._process = SimpleNamespace(lease=SimpleNamespace(host_id=CLIENT, ends_at=ours))
    actor._directory = SimpleNamespace(lease_end={UUID(int=5): renewed}.get)
    call = Call("c1", UUID(int=3), "http.request", 1, {}, "2027-05-04T12:00:00Z", lease_ends_at=100.0)
    assert actor._lease_end(replace(call, host=UUID(int=5), client=client)) == expected
    assert actor._lease_end(replace(call, lease_ends_at=None)) is None
