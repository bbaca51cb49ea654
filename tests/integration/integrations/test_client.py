"""The client performs calls: what each kind of answer, failure and refusal becomes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest

from taske_ray.clock import SystemClock
from taske_ray.core.call import Call
from taske_ray.core.capability import ConnectionValues, parse_module
from taske_ray.core.outcome import ErrorClass, Failed, Fetched, Succeeded, Unknown
from taske_ray.core.retry import is_counted
from taske_ray.errors import NotFound, Unavailable
from taske_ray.integrations.client import IntegrationClient
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.failures import NotSent
from taske_ray.integrations.ports import OpenedConnection
from taske_ray.integrations.sending import Conduct
from taske_ray.integrations.transport import Transport
from taske_ray.limits import Limits, profiles
from taske_ray.security.sealed import VaultError
from tests.integration.integrations.conftest import reply, serving
from tests.unit.integrations.memory_tokens import MemoryTokens

ALICE, BOB, CONNECTION = UUID(int=1), UUID(int=2), UUID(int=10)
NOW = "2026-01-02T03:04:05Z"
SECRET = "xoxb-very-secret-token"
ALICES = OpenedConnection("chat", ConnectionValues("bot", {}, {"token": SECRET}), id=CONNECTION, owner=ALICE)


def document(port, **more):
    """A small service: one action, one list in pages, one poll, one that runs inside."""
    base = f"http://127.0.0.1:{port}"
    params = {"type": "object", "properties": {"text": {"type": "string"}, "room": {"type": "string"}}}
    return {
        "module": "chat",
        "name": "Chat",
        "base_url": base,
        "allowed_hosts": [f"127.0.0.1:{port}"],
        "auth": [
            {"id": "none", "type": "none"},
            {"id": "bot", "type": "bearer", "test": {"path": "/me"}, "label": "{{ response.body.name }}"},
        ],
        "capabilities": [
            {
                "capability": "chat.post",
                "kind": "action",
                "name": "Post",
                "params": params,
                "request": {"method": "POST", "path": "/post", "body": {"text": "{{ params.text }}"}},
                "response": {"output": {"id": "{{ response.body.id }}"}},
                "idempotency": {"class": "keyed"},
                "scopes": ["chat:write"],
            }
            | more,
            {
                "capability": "chat.list",
                "kind": "action",
                "name": "List",
                "params": params,
                "request": {"path": "/list"},
                "pagination": {
                    "type": "cursor",
                    "next": "{{ response.body.next }}",
                    "send": {"in": "query", "name": "c"},
                },
                "response": {"items": "{{ response.body.items }}", "output": {"all": "{{ items }}"}},
            },
            {
                "capability": "chat.new",
                "kind": "trigger",
                "name": "New",
                "params": params,
                "request": {"path": "/list"},
                "response": {"items": "{{ response.body.items }}", "item": {"n": "{{ item }}"}},
                "poll": {"every": "PT1M", "key": "{{ item }}"},
            },
        ],
    }


@dataclass
class FakeCapabilities:
    """One module in version 1."""

    chat: object
    away: bool = False

    async def pinned(self, capability, version):
        """The capability, if it is version 1 of it."""
        if self.away:
            raise Unavailable
        if version != 1 or capability not in self.chat.capabilities:
            raise NotFound
        return self.chat.capabilities[capability]

    async def module(self, module_id):
        """The module."""
        if module_id != self.chat.id:
            raise NotFound
        return self.chat


@dataclass
class FakeConnections:
    """One connection, of Alice."""

    opened: OpenedConnection = ALICES
    error: Exception | None = None
    marked: list = field(default_factory=list)

    async def open(self, user_id, connection_id):
        """Alice's own connection, or nothing."""
        if self.error:
            raise self.error
        if (user_id, connection_id) != (ALICE, CONNECTION):
            raise NotFound
        return self.opened

    async def mark_needs_reauth(self, opened, reason):
        """Remember it."""
        self.marked.append((opened.owner, opened.id, reason))


@dataclass
class World:
    """A client, the server behind it and the fakes between."""

    client: IntegrationClient
    server: object
    capabilities: FakeCapabilities
    connections: FakeConnections
    database: list

    def call(self, capability="chat.post", **more) -> Call:
        """A call of Alice's with her connection."""
        given = {"id": "c1", "user_id": ALICE, "version": 1, "params": {"text": "hi"}, "connection_id": CONNECTION}
        return Call(capability=capability, now=NOW, **{**given, "timeout_s": 5.0, **more})

    async def perform(self, capability="chat.post", **more):
        """Perform such a call."""
        return await self.client.perform(self.call(capability, **more))


@asynccontextmanager
async def world(answer, *, limits=profiles["default"], clock=None, own_urls=None, **more) -> AsyncIterator[World]:
    """A client whose only service answers with `answer`."""
    async with serving(answer) as server:
        capabilities = FakeCapabilities(parse_module(document(server.port, **more)))
        connections, database = FakeConnections(), [1000.0]
        client = IntegrationClient(
            capabilities=capabilities,
            connections=connections,
            tokens=MemoryTokens(),
            transport=Transport(guard=EgressGuard(["127.0.0.0/8"]), own_urls=own_urls(server.port) if own_urls else ()),
            clock=clock or SystemClock(),
            conduct=Conduct(limits=limits),
            database_time=lambda: database[0],
            internal={"echo": _Echo()},
        )
        yield World(client, server, capabilities, connections, database)
        await client.close()


class _Echo:
    """An executor that says back what it was given."""

    async def perform(self, job):
        """Its parameters."""
        return Succeeded(dict(job.call.params))

    async def test(self, connection):
        """Whose it is."""
        return Succeeded({"label": connection.config["who"]})


def says(body, status="200 OK", *headers):
    """A server that always says this JSON."""

    async def answer(_, writer):
        writer.write(reply(json.dumps(body).encode(), "Content-Type: application/json", *headers, status=status))

    return answer


async def closes(_, writer):
    """A server that reads and closes."""
    writer.close()


async def test_a_call_succeeds():
    """The output is mapped, credential and key are on the request, and the outcome shows no secret."""
    async with world(says({"id": 7})) as w:
        outcome = await w.perform(idempotency_key="run:step")
    assert isinstance(outcome, Succeeded)
    assert outcome.output == {"id": 7}
    assert f"authorization: Bearer {SECRET}".encode() in w.server.received[0]
    assert b"idempotency-key: run:step" in w.server.received[0]
    assert SECRET not in repr(outcome)


async def test_pages_are_followed():
    """A list in two pages is one call with two requests."""

    async def answer(request, writer):
        page = {"items": [2]} if b"c=p2" in request else {"items": [1], "next": "p2"}
        writer.write(reply(json.dumps(page).encode(), "Content-Type: application/json"))

    async with world(answer) as w:
        outcome = await w.perform("chat.list")
    assert outcome.output == {"all": [1, 2]}


async def test_a_poll_is_fetched():
    """A polling trigger gives its items."""
    async with world(says({"items": [1, 2]})) as w:
        outcome = await w.perform("chat.new")
    assert isinstance(outcome, Fetched)
    assert [item.output for item in outcome.items] == [{"n": 1}, {"n": 2}]


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        ("500 Oops", ErrorClass.TRANSIENT),
        ("404 No", ErrorClass.NOT_FOUND),
        ("403 No", ErrorClass.PERMISSION),
        ("400 No", ErrorClass.INVALID),
        ("302 There", ErrorClass.INVALID),
    ],
)
async def test_a_complete_answer_is_a_known_failure(status, error_class):
    """Every complete answer is known, also a 5xx."""
    async with world(says({"message": f"no {SECRET}"}, status)) as w:
        outcome = await w.perform()
    assert (outcome.error_class, outcome.sent) == (error_class, True)
    assert SECRET not in repr(outcome)


@pytest.mark.parametrize("capability", ["chat.post", "chat.list"])
async def test_no_answer_is_unknown(capability):
    """Read and closed: nobody knows, and it was received once."""
    async with world(closes) as w:
        outcome = await w.perform(capability)
    assert isinstance(outcome, Unknown)
    assert outcome.request["url"].startswith(w.server.url())
    assert len(w.server.received) == 1


async def test_nobody_there_is_not_sent():
    """A refused connection is a failure of which nothing was sent."""
    async with world(says({})) as w:
        pass
    async with world(says({})) as other:
        other.capabilities.chat = w.capabilities.chat
        outcome = await other.perform()
    assert (outcome.error_class, outcome.code, outcome.sent) == (ErrorClass.TRANSIENT, "connect_failed", False)


async def test_a_failure_on_the_way_was_sent():
    """When a later page fails to leave, the call did send something."""

    async def answer(_, writer):
        page = {"items": [1], "next": "x" * 20_000}
        writer.write(reply(json.dumps(page).encode(), "Content-Type: application/json"))

    async with world(answer) as w:
        outcome = await w.perform("chat.list")
    assert (outcome.code, outcome.sent) == ("bad_url", True)


async def test_nonsense_is_an_outcome():
    """HTML where JSON was promised, lists where objects were: an outcome and no exception."""

    async def answer(_, writer):
        writer.write(reply(b"<html>\xff\x00[", "Content-Type: application/json"))

    async with world(answer) as w:
        for number, capability in enumerate(("chat.post", "chat.list", "chat.new")):
            outcome = await w.perform(capability, id=f"c{number}")
            assert isinstance(outcome, Failed | Succeeded | Fetched)


@pytest.mark.parametrize("cut", range(5, 60, 9))
async def test_a_secret_in_two_chunks_is_found(cut):
    """The answer is put together before anything is looked for, and cut to its length only afterwards."""
    text = "x" * 470 + f" {SECRET} no"

    async def answer(_, writer):
        body = json.dumps({"message": text}).encode()
        writer.write(b"HTTP/1.1 400 No\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (body[: 480 + cut], body[480 + cut :]):
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")

    async with world(answer) as w:
        outcome = await w.perform()
    assert outcome.message.startswith("x" * 470 + " ••••")
    assert SECRET[:5] not in outcome.message


async def test_an_expired_login_is_revoked():
    """A 401 cannot be refreshed here: the connection must be made again."""
    async with world(says({}, "401 Who")) as w:
        outcome = await w.perform()
        assert outcome.error_class is ErrorClass.AUTH_REVOKED
        assert w.connections.marked == [(ALICE, CONNECTION, "credential_refused")]


async def test_a_401_without_a_connection_is_about_permission():
    """Nobody was logged in, so nobody's login expired."""
    async with world(says({}, "401 Who")) as w:
        outcome = await w.perform(connection_id=None)
        assert outcome.error_class is ErrorClass.PERMISSION
        assert not w.connections.marked


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound(), "unknown_connection"),
        (VaultError(), "secret_unreadable"),
        (Unavailable(), "unavailable"),
    ],
)
async def test_a_connection_that_does_not_open(error, code):
    """Foreign, damaged, or the database away: nothing is sent."""
    async with world(says({})) as w:
        w.connections.error = error
        outcome = await w.perform()
        assert (outcome.code, outcome.sent) == (code, False)
        assert not w.server.received


async def test_a_foreign_connection_is_unknown():
    """Bob cannot use Alice's connection."""
    async with world(says({})) as w:
        outcome = await w.perform(user_id=BOB)
        assert outcome.code == "unknown_connection"
        assert not w.server.received


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"module": "other"}, "wrong_connection"),
        ({"values": ConnectionValues("oauth", {}, {"token": "t"})}, "wrong_connection"),
        ({"active": False}, "needs_reauth"),
        ({"scopes": ("chat:read",)}, "missing_scopes"),
    ],
)
async def test_a_connection_must_fit(change, code):
    """A connection of another module or scheme, or one to be made again, is not used."""
    async with world(says({})) as w:
        w.connections.opened = replace(w.connections.opened, **change)
        outcome = await w.perform()
        assert (outcome.code, outcome.sent) == (code, False)
        assert not w.server.received


async def test_unknown_versions_are_fatal_and_a_database_away_is_not():
    """What does not exist will not exist later; what cannot be read now may be read later."""
    async with world(says({})) as w:
        assert (await w.perform(version=2)).error_class is ErrorClass.FATAL
        w.capabilities.away = True
        assert (await w.perform(id="c2")).error_class is ErrorClass.TRANSIENT


@pytest.mark.parametrize(("ends_at", "sent"), [(999.0, False), (1000.5, False), (1002.0, True), (None, True)])
async def test_a_lease_that_is_over_sends_nothing(ends_at, sent):
    """Past the lease, less a second, no request goes out."""
    async with world(says({"id": 1})) as w:
        outcome = await w.perform(lease_ends_at=ends_at)
        assert bool(w.server.received) is sent
        assert isinstance(outcome, Succeeded) if sent else (outcome.code, outcome.sent) == ("lease_over", False)


async def test_a_lease_that_ends_on_the_way_sends_no_more():
    """Between two pages the lease ran out: the second is not asked for."""
    async with world(says({})) as w:

        async def answer(_, writer):
            w.database[0] = 2000.0
            writer.write(reply(json.dumps({"items": [1], "next": "p"}).encode(), "Content-Type: application/json"))

        async with serving(answer) as server:
            w.capabilities.chat = parse_module(document(server.port))
            outcome = await w.perform("chat.list", lease_ends_at=1500.0)
            assert (outcome.code, outcome.sent, len(server.received)) == ("lease_over", True, 1)


async def test_the_lease_is_checked_at_the_socket():
    """A lease that ends while the connection is made is noticed before the first byte."""
    answers = iter([True, False])
    async with serving(says({})) as server:
        transport = Transport(guard=EgressGuard(["127.0.0.0/8"]))
        next(answers)
        with pytest.raises(NotSent) as raised:
            await transport.send(server.request("POST"), timeout_s=5, may_send=lambda: next(answers))
        await transport.close()
        assert (raised.value.code, server.received) == ("lease_over", [])


async def test_one_deadline_for_the_whole_call():
    """Many quick pages end when the call's time is over."""

    async def answer(_, writer):
        await asyncio.sleep(0.08)
        writer.write(reply(json.dumps({"items": [1], "next": "p"}).encode(), "Content-Type: application/json"))

    async with world(answer) as w:
        outcome = await w.perform("chat.list", timeout_s=0.3)
        assert isinstance(outcome, Unknown | Failed)
        assert len(w.server.received) < 8


async def test_a_429_pauses_its_kind_only():
    """After "slow down" the same capability waits without sending; another one does not."""
    async with world(says({"items": []}, "429 Slow", "Retry-After: 60")) as w:
        first = await w.perform(id="a")
        assert (first.error_class, first.retry_after_s, first.sent) == (ErrorClass.RATE_LIMITED, 60.0, True)
        second = await w.perform(id="b")
        assert (second.error_class, second.sent) == (ErrorClass.RATE_LIMITED, False)
        assert 55 < second.retry_after_s <= 60
        assert (await w.perform("chat.list", id="c")).sent
        assert len(w.server.received) == 2


async def test_declared_limits_hold():
    """Two per minute and room: the third in one room waits in the database, another room goes on."""
    limits = [{"scope": "param:room", "limit": 2, "per": "PT1M"}]
    async with world(says({"id": 1}), rate_limits=limits) as w:
        rooms = ["a", "a", "a", "b"]
        outcomes = [await w.perform(id=f"c{n}", params={"room": room}) for n, room in enumerate(rooms)]
    assert [isinstance(outcome, Succeeded) for outcome in outcomes] == [True, True, False, True]
    assert (outcomes[2].code, outcomes[2].sent, outcomes[2].retry_after_s > 50) == ("rate_limited", False, True)


async def test_a_short_wait_is_waited():
    """A wait of less than a second is no failure."""
    async with world(says({"id": 1}), rate_limits=[{"scope": "connection", "limit": 1, "per": "PT0.2S"}]) as w:
        outcomes = [await w.perform(id=f"c{n}") for n in range(3)]
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes)


async def test_nobody_fills_a_host_alone():
    """Beyond the cap of one user at one host a call is put off; another user's goes."""
    gate, arrived = asyncio.Event(), asyncio.Event()

    async def answer(_, writer):
        arrived.set()
        await gate.wait()
        writer.write(reply(b'{"id": 1}', "Content-Type: application/json"))

    async with world(answer, limits=Limits(calls_in_flight=1)) as w:
        slow = asyncio.create_task(w.perform(id="slow"))
        await arrived.wait()
        refused = await w.perform(id="more")
        bobs = asyncio.create_task(w.perform(id="bobs", user_id=BOB, connection_id=None))
        assert (refused.code, refused.sent) == ("too_many_in_flight", False)
        gate.set()
        assert isinstance(await slow, Succeeded)
        assert isinstance(await bobs, Succeeded)


async def test_a_user_may_call_a_host_so_often_a_second():
    """Ten a second go, what is beyond that waits; another user has calls of their own."""
    async with world(says({"id": 1}), limits=Limits(calls_per_s=10)) as w:
        outcomes = await asyncio.gather(*(w.perform(id=f"c{n}") for n in range(25)))
        bobs = await w.perform(id="bobs", user_id=BOB, connection_id=None)
    late = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    assert len(w.server.received) == 21
    assert {(one.code, one.sent, is_counted(one)) for one in late} == {("rate_limited", False, False)}
    assert isinstance(bobs, Succeeded)


async def test_an_answer_is_no_larger_than_this_service_takes():
    """What the operator allows bounds what a capability may ask for."""
    async with world(says({"text": "x" * 2_000_000}), limits=Limits(response_mib=1)) as w:
        outcome = await w.perform()
    assert outcome.code == "response_too_large"


@dataclass
class Clock(SystemClock):
    """A clock whose seconds a test moves on; waiting is as it is."""

    ahead_s: float = 0.0

    def monotonic(self):
        """Seconds, and those that the test added."""
        return super().monotonic() + self.ahead_s


@pytest.mark.parametrize(
    ("answer", "opens"),
    [
        (says({}, "500 Oops"), True),
        (says({}, "503 Away", "Retry-After: 1"), True),
        (closes, True),
        (says({}, "429 Slow"), False),
        (says({}, "404 No"), False),
        (says({"id": 1}), False),
    ],
    ids=["500", "503", "closed", "429", "404", "200"],
)
async def test_a_host_in_trouble_is_left_alone(answer, opens):
    """After twenty failures nothing is sent for thirty seconds, then one probe; a 4xx is an answer."""
    clock = Clock()
    async with world(answer, clock=clock) as w:
        for n in range(20):
            await w.perform(id=f"c{n}")
        seen = len(w.server.received)
        behind = await w.perform(id="behind")
        assert (len(w.server.received) == seen) is opens
        if not opens:
            return
        assert (behind.code, behind.sent, is_counted(behind)) == ("breaker_open", False, False)
        assert 25 < behind.retry_after_s <= 35
        other = await w.perform(id="bobs", user_id=BOB, connection_id=None)
        assert other.code != "breaker_open"
        seen = len(w.server.received)
        clock.ahead_s = 31.0
        outcomes = await asyncio.gather(*(w.perform(id=f"later{n}") for n in range(5)))
        assert len(w.server.received) == seen + 1
        assert sum(one.code == "breaker_open" for one in outcomes) == 4


@pytest.mark.parametrize("own", [True, False])
async def test_calls_to_ourselves_say_how_deep_they_are(own):
    """A run's call to our own address carries its depth and one; no other service is told, and a poll says nothing."""

    def here(port):
        return (f"http://127.0.0.1:{port if own else 1}", "http://nowhere:x")

    async with world(says({"id": 1, "items": []}), own_urls=here) as w:
        await w.perform(run_id="run_1", depth=2)
        await w.perform("chat.new", id="c2")
    assert (b"taske-depth: 3\r\n" in w.server.received[0].lower()) is own
    assert b"taske-depth" not in w.server.received[1].lower()


async def test_nobody_there_is_trouble_too():
    """Connections that are refused open a breaker like answers with 500."""
    async with world(says({})) as w:
        pass
    async with world(says({})) as other:
        other.client._capabilities = w.capabilities
        outcomes = [await other.perform(id=f"c{n}") for n in range(21)]
    assert [one.code for one in outcomes[:20]] == ["connect_failed"] * 20
    assert outcomes[20].code == "breaker_open"


async def test_three_users_in_trouble_close_a_host_to_all():
    """Three users whose calls fail keep a fourth from trying, too."""
    async with world(says({}, "500 Oops")) as w:
        for n in range(21):
            await w.perform(id=f"c{n}", user_id=UUID(int=100 + n % 3), connection_id=None)
        outcome = await w.perform(id="fourth", user_id=UUID(int=200), connection_id=None)
    assert outcome.code == "breaker_open"


async def test_repeated_calls_have_a_budget():
    """Beyond one a second and a tenth of the first ones a retry waits; a first attempt goes."""
    async with world(says({}, "404 No")) as w:  # no breaker opens for it
        outcomes = [await w.perform(id=f"c{n}", is_retry=True) for n in range(12)]
        first = await w.perform(id="first")
    assert [one.code for one in outcomes].count("retry_budget") <= 2
    assert first.code != "retry_budget"


async def test_a_call_is_made_once_and_its_outcome_kept():
    """The same id again, or asked for, gives the same outcome without a second request."""
    async with world(says({"id": 1})) as w:
        first = await w.perform(run_id="r", fence=1)
        assert await w.perform(run_id="r", fence=1) is first
        assert await w.client.outcomes_of("c1", run_id="r", fence=2) is first
        assert await w.client.outcomes_of("never") is None
        assert (await w.perform(id="c2", run_id="r", fence=1)).code == "lease_over"
        assert len(w.server.received) == 1
        w.client.acknowledge(["c1"])
        assert await w.client.outcomes_of("c1") is None


async def test_internal_executors_make_no_request():
    """A capability that runs inside goes to its executor with its connection, and not without one."""
    inside = {"execution": "internal", "executor": "echo", "request": None, "response": None, "idempotency": None}
    async with world(says({})) as w:
        doc = document(w.server.port)
        doc["capabilities"][0] = {
            key: value for key, value in (doc["capabilities"][0] | inside).items() if value is not None
        }
        w.capabilities.chat = parse_module(doc)
        outcome, without = await w.perform(), await w.perform(id="c2", connection_id=None)
    assert outcome == Succeeded({"text": "hi"})
    assert without.code == "connection_required"


async def test_an_error_of_ours_is_an_outcome(caplog):
    """A bug inside does not raise, does not show data, and says whether something may have left."""
    async with world(says({})) as w:
        w.connections.error = RuntimeError(SECRET)
        outcome = await w.perform()
    assert (outcome.code, outcome.sent) == ("internal", False)
    assert SECRET not in caplog.text


async def test_a_connection_is_tested():
    """The module's test request decides and gives the label; a 401 marks the connection."""
    async with world(says({"name": "bot 1"})) as w:
        outcome = await w.client.test_connection(ALICE, CONNECTION)
        assert outcome.output == {"label": "bot 1"}
        assert w.server.received[0].startswith(b"GET /me")
        assert (await w.client.test_connection(BOB, CONNECTION)).code == "unknown_connection"
    async with world(says({}, "401 Who")) as w:
        outcome = await w.client.test_connection(ALICE, CONNECTION)
        assert outcome.error_class is ErrorClass.AUTH_REVOKED
        assert len(w.connections.marked) == 1
    async with world(closes) as w:
        assert (await w.client.test_connection(ALICE, CONNECTION)).code == "no_answer"
