"""The client performs calls: what each kind of answer, failure and refusal becomes."""

import asyncio
import json
from dataclasses import replace

import pytest

from taske_ray.core.capability import ConnectionValues, parse_module
from taske_ray.core.outcome import ErrorClass, Failed, Fetched, Succeeded, Unknown
from taske_ray.errors import NotFound, Unavailable
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.failures import NotSent
from taske_ray.integrations.transport import Transport
from taske_ray.limits import Limits
from taske_ray.security.sealed import VaultError
from taske_ray.testing import ManualClock
from tests.integration.integrations.chat import ALICE, BOB, CONNECTION, SECRET, closes, document, says, world
from tests.integration.integrations.conftest import reply, serving


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


async def test_a_lease_that_was_renewed_on_the_way_sends_more():
    """A conversation may take longer than the lease it began with, as long as its caller lives."""
    async with world(says({})) as w:

        async def answer(_, writer):
            w.database[0] += 600.0
            w.renewed["c1"] = w.database[0] + 30.0
            more = {"next": f"p{w.database[0]:.0f}"} if w.database[0] < 3000 else {}
            writer.write(reply(json.dumps({"items": [1], **more}).encode(), "Content-Type: application/json"))

        async with serving(answer) as server:
            w.capabilities.chat = parse_module(document(server.port))
            outcome = await w.perform("chat.list", lease_ends_at=1500.0)
            assert isinstance(outcome, Succeeded)
            assert len(server.received) == 4


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


async def test_an_answer_is_no_larger_than_this_service_takes():
    """What the operator allows bounds what a capability may ask for."""
    async with world(says({"text": "x" * 2_000_000}), limits=Limits(response_mib=1)) as w:
        outcome = await w.perform()
    assert outcome.code == "response_too_large"


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


async def test_a_first_answer_is_kept_for_its_connection():
    """`cache_s`: asked once by a user with one credential, again after a failure, with another one, by another user."""
    status = ["503 Oops"]

    async def answer(request, writer):
        first = request.startswith(b"GET /rooms")
        body = json.dumps({"id": 7}).encode()
        writer.write(reply(body, "Content-Type: application/json", status=status[0] if first else "200 OK"))

    room = {"id": "room", "cache_s": 60, "request": {"path": "/rooms"}, "output": {"id": "{{ response.body.id }}"}}
    sending = {"method": "POST", "path": "/post", "body": {"room": "{{ pre.room.id }}"}}
    clock = ManualClock()
    async with world(answer, clock=clock, pre=[room], request=sending) as w:

        async def asked(number, **more):
            """How many requests a call made."""
            before = len(w.server.received)
            outcome = await w.perform(id=f"c{number}", **more)
            assert isinstance(outcome, Succeeded) is (status[0] == "200 OK")
            return len(w.server.received) - before

        assert await asked(0) == 1
        status[0] = "200 OK"
        assert [await asked(1), await asked(2)] == [2, 1]
        assert w.server.received[-1].endswith(b'{"room":7}')
        w.connections.opened = replace(w.connections.opened, version=2)
        assert [await asked(3), await asked(4)] == [2, 1]
        bob = {"user_id": BOB, "connection_id": None}
        assert [await asked(5, **bob), await asked(6, **bob)] == [2, 1]
        clock.advance(60)
        assert [await asked(7), await asked(8, **bob)] == [2, 2]
