"""Keeping tokens: one refresh whoever waits, store then use, one further try after a crash, and no loop."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from taske_ray.core.capability import parse_module
from taske_ray.core.capability.tokens import OAuthClient
from taske_ray.core.http import HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed
from taske_ray.errors import Unavailable
from taske_ray.integrations import token_keeper
from taske_ray.integrations.failures import MaybeSent, NotSent
from taske_ray.integrations.token_keeper import TokenKeeper
from taske_ray.testing import ManualClock, eventually
from tests.unit.integrations.memory_tokens import USER, MemoryTokens

SHOP = parse_module(
    {
        "module": "shop",
        "name": "Shop",
        "base_url": "https://api.shop.example",
        "auth": [
            {
                "id": "oauth",
                "type": "oauth2_code",
                "oauth": {"authorize_url": "https://api.shop.example/a", "token_url": "https://api.shop.example/t"},
            },
            {"id": "robot", "type": "oauth2_client_credentials", "oauth": {"token_url": "https://api.shop.example/t"}},
            {"id": "key", "type": "bearer"},
        ],
        "capabilities": [{"capability": "shop.x", "kind": "action", "name": "X", "request": {"path": "/x"}}],
    }
)


class Provider:
    """A token endpoint whose answers a test writes: a status and a body, or an exception; `gate` holds them back."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, owner, request, may_send):
        """Answer the next request, if it may still be sent."""
        if not may_send():
            raise NotSent("lease_over", "")
        self.asked.append((owner, request.body.decode()))
        await self.gate.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        return HttpResponse(status, {"content-type": "application/json"}, json.dumps(body).encode())


def gives(number, **more):
    """New tokens."""
    return 200, {"access_token": f"a-{number}", "refresh_token": f"r-{number}", "expires_in": 3600, **more}


class Stand:
    """A keeper, its provider, and one connection whose token ends in `ends_in` seconds."""

    def __init__(self, *answers, auth="oauth", ends_in=-1, secret=None, tokens=None):
        self.provider = Provider(*answers)
        self.clock = ManualClock()
        self.tokens = tokens or MemoryTokens(app=OAuthClient("ours", "app-s3cret"))
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        held = {"access_token": "a-0", "refresh_token": "r-0"} if secret is None else secret
        ends = self.now + timedelta(seconds=ends_in)
        times = {"token_at": self.now - timedelta(hours=1), "refresh_from": ends - timedelta(seconds=300)}
        self.id = self.tokens.add(auth, held, expires_at=ends, **times)
        self.keeper = self.process(self.tokens)

    def process(self, tokens, provider=None):
        """The keeper of a process."""
        return TokenKeeper(
            connections=tokens,
            store=tokens,
            send=provider or self.provider,
            clock=self.clock,
            database_time=lambda: self.now.timestamp() + self.clock.monotonic(),
        )

    async def usable(self, keeper=None):
        """What a call gets."""
        return await (keeper or self.keeper).usable(USER, await self.tokens.open(USER, self.id), SHOP)

    async def refused(self, opened=None, keeper=None):
        """What a call gets whose token was refused."""
        return await (keeper or self.keeper).refused(USER, opened or await self.tokens.open(USER, self.id), SHOP)

    @property
    def row(self):
        """The connection's row."""
        return self.tokens.rows[self.id]


def token(opened):
    """The access token of a connection."""
    return opened.values.secret["access_token"]


async def test_a_good_token_is_used_as_it_is():
    """Long before its end nobody is asked; nor for a connection without tokens."""
    stand = Stand(ends_in=301)
    assert token(await stand.usable()) == "a-0"
    key = Stand(auth="key", secret={"token": "k"})
    assert (await key.usable()).values.secret == {"token": "k"}
    assert stand.provider.asked == key.provider.asked == []


async def test_a_token_is_refreshed_before_it_ends():
    """From five minutes before the end on; the rotated refresh token is kept, and the new token is good for an hour."""
    stand = Stand(gives(1), ends_in=299)
    opened = await stand.usable()
    assert (token(opened), opened.version) == ("a-1", 2)
    assert stand.row.opened.values.secret == {"access_token": "a-1", "refresh_token": "r-1"}
    assert stand.row.opened.refresh_from == stand.now + timedelta(seconds=3300)
    assert "refresh_token=r-0" in stand.provider.asked[0][1]
    assert await stand.usable() == opened
    assert len(stand.provider.asked) == 1


async def test_fifty_calls_at_once_are_one_refresh():
    """Whoever comes while a refresh is under way waits for it; a cancelled waiter cancels nothing."""
    stand = Stand(gives(1))
    stand.provider.gate.clear()
    waiting = [asyncio.create_task(stand.usable()) for _ in range(50)]
    await eventually(lambda: stand.provider.asked)
    waiting[0].cancel()
    stand.provider.gate.set()
    found = await asyncio.gather(*waiting[1:])
    assert {token(opened) for opened in found} == {"a-1"}
    assert len(stand.provider.asked) == 1


async def test_two_processes_are_one_refresh():
    """The lease is on the row: the other process waits until the tokens are stored, and uses them."""
    stand = Stand(gives(1))
    stand.provider.gate.clear()
    other = stand.process(stand.tokens.neighbour(), Provider())
    first = asyncio.create_task(stand.usable())
    await eventually(lambda: stand.provider.asked)
    second = asyncio.create_task(stand.usable(other))
    await eventually(lambda: stand.clock.sleeping)
    stand.provider.gate.set()
    assert token(await first) == "a-1"
    stand.clock.advance(1)
    assert token(await second) == "a-1"


async def test_a_lease_that_never_comes_back_is_not_waited_for_forever():
    """A process that holds the lease and does not answer costs a while, and then the call is tried again later."""
    stand = Stand()
    holder = stand.tokens.neighbour()
    await holder.take(stand.row.opened)
    waiting = asyncio.create_task(stand.usable())
    for _ in range(300):
        await asyncio.sleep(0)
        stand.clock.advance(0.2)
    failed = await waiting
    assert (failed.error_class, failed.code, failed.sent) == (ErrorClass.TRANSIENT, "refresh_busy", False)


async def test_a_dead_holder_costs_one_further_try():
    """C15: whoever held the lease died between answer and store; the stored token is tried once more, and works."""
    stand = Stand(gives(2))
    dead = stand.tokens.neighbour()
    await dead.take(stand.row.opened)
    stand.tokens.live.discard(dead.client)
    assert token(await stand.usable()) == "a-2"
    assert (stand.row.tries, stand.row.holder, stand.tokens.marked) == (0, None, [])


async def test_a_further_try_that_is_refused_needs_a_new_consent():
    """C15 with a provider that rotates: the old token is refused, the owner is told once, and nobody asks again."""
    stand = Stand((400, {"error": "invalid_grant"}))
    dead = stand.tokens.neighbour()
    await dead.take(stand.row.opened)
    stand.tokens.live.discard(dead.client)
    failed = await stand.usable()
    assert failed.error_class is ErrorClass.AUTH_REVOKED
    assert stand.tokens.marked == [(stand.id, "token_refused")]
    assert not (await stand.tokens.open(USER, stand.id)).active
    await stand.usable()
    assert len(stand.provider.asked) == 1
    assert len(stand.tokens.marked) == 1


async def test_two_dead_holders_are_enough():
    """The further try died, too: the provider is not asked a third time."""
    stand = Stand()
    for _ in range(2):
        dead = stand.tokens.neighbour()
        assert await dead.take(stand.row.opened) is not None
        stand.tokens.live.discard(dead.client)
    failed = await stand.usable()
    assert (failed.error_class, failed.code) == (ErrorClass.AUTH_REVOKED, "tokens_lost")
    assert stand.provider.asked == []
    assert stand.tokens.marked == [(stand.id, "tokens_lost")]


@pytest.mark.parametrize(
    ("answer", "error_class", "code"),
    [
        ((503, {}), ErrorClass.TRANSIENT, "token_endpoint_busy"),
        ((200, {}), ErrorClass.INVALID, "bad_token_answer"),
        (NotSent("connect_failed", "No."), ErrorClass.TRANSIENT, "connect_failed"),
        (MaybeSent("Silence."), ErrorClass.TRANSIENT, "token_endpoint_silent"),
    ],
)
async def test_a_provider_that_gives_nothing(answer, error_class, code):
    """The lease is given back, the token is not lost, and the provider is not asked again at once; then it is."""
    stand = Stand(answer, gives(1))
    failed = await stand.usable()
    assert (failed.error_class, failed.code) == (error_class, code)
    assert (stand.row.holder, stand.row.tries) == (None, 0)
    again = await stand.usable()
    assert (again.code, again.retry_after_s) == (code, 5.0)
    assert len(stand.provider.asked) == 1
    stand.clock.advance(5)
    assert token(await stand.usable()) == "a-1"
    assert stand.tokens.marked == []


async def test_pauses_grow():
    """Each failure in a row doubles the wait, up to five minutes; what the provider asks for is obeyed."""
    stand = Stand(*[(503, {})] * 8)
    waits = []
    for _ in range(8):
        await stand.usable()
        waits.append((await stand.usable()).retry_after_s)
        stand.clock.advance(waits[-1])
    assert waits == [5, 10, 20, 40, 80, 160, 300, 300]


async def test_what_is_remembered_is_bounded(monkeypatch):
    """Of many connections in trouble the last ones are remembered; for one that is forgotten the provider is asked."""
    monkeypatch.setattr(token_keeper, "most_remembered", 2)
    stand = Stand(*[(503, {})] * 4, *[gives(number) for number in range(3)])
    ids = [stand.id, *(stand.tokens.add("oauth", {"refresh_token": f"r-{n}"}) for n in range(2))]
    asked = []
    for stand.id in [*ids, ids[2], ids[1], ids[0]]:
        await stand.usable()
        asked.append(len(stand.provider.asked))
    assert asked == [1, 2, 3, 3, 3, 4]
    stand.clock.advance(300)
    for stand.id in ids:
        await stand.refused()
    assert (len(stand.keeper._pauses), len(stand.keeper._instead)) == (0, 2)


async def test_a_token_that_is_due_works_until_its_end():
    """A refresh that fails just now does not spoil a token that is good for two more minutes."""
    stand = Stand((503, {}), ends_in=120)
    assert token(await stand.usable()) == "a-0"
    assert token(await stand.usable()) == "a-0"
    assert len(stand.provider.asked) == 1
    stand.clock.advance(121)
    stand.provider.answers = [(503, {})]
    assert isinstance(await stand.usable(), Failed)


async def test_a_revoked_consent_is_found_before_the_token_ends():
    """Revoked is revoked, also while the old token would still be good."""
    stand = Stand((400, {"error": "invalid_grant"}), ends_in=120)
    assert (await stand.usable()).error_class is ErrorClass.AUTH_REVOKED
    assert stand.tokens.marked == [(stand.id, "token_refused")]


async def test_store_then_use():
    """What the provider gave is not used before it is stored; while the database is away it is tried again."""
    stand = Stand(gives(1))
    stand.tokens.away = 2
    waiting = asyncio.create_task(stand.usable())
    for _ in range(2):
        await eventually(lambda: stand.clock.sleeping)
        assert not waiting.done()
        stand.clock.advance(1)
    assert token(await waiting) == "a-1"
    assert len(stand.provider.asked) == 1


async def test_whoever_slept_over_the_lease_asks_nobody():
    """Frozen after the lease was taken: another process asks the provider by now, so this one does not."""
    tokens = MemoryTokens(app=OAuthClient("ours", "app-s3cret"))
    stand = Stand(gives(1), tokens=tokens)
    client_of, asked = tokens.oauth_client, []

    async def slept(module, auth):
        asked.append(auth)
        stand.clock.advance(token_keeper.lease_s)
        return await client_of(module, auth)

    tokens.oauth_client = slept
    failed = await stand.usable()
    assert (failed.code, failed.sent, asked) == ("lease_over", False, ["oauth"])
    assert stand.provider.asked == []


async def test_new_tokens_of_an_old_credential_are_dropped():
    """The owner connected again while the refresh was under way: their credential stays."""
    stand = Stand(gives(1))
    stand.provider.gate.clear()
    waiting = asyncio.create_task(stand.usable())
    await eventually(lambda: stand.provider.asked)
    stand.row.holder = None
    stand.provider.gate.set()
    failed = await waiting
    assert (failed.error_class, failed.code) == (ErrorClass.TRANSIENT, "connection_changed")
    assert stand.row.opened.version == 1


async def test_a_refused_token_is_refreshed_once():
    """After a 401 a token of some age is refreshed; the new one refused within a minute is revoked."""
    stand = Stand(gives(1), ends_in=3000)
    old = await stand.usable()
    new = await stand.refused(old)
    assert token(new) == "a-1"
    failed = await stand.refused(new)
    assert (failed.error_class, failed.code) == (ErrorClass.AUTH_REVOKED, "new_token_refused")
    assert len(stand.provider.asked) == 1
    assert stand.tokens.marked == [(stand.id, "new_token_refused")]


async def test_whoever_was_refused_later_gets_what_is_there():
    """Fifty calls were refused with the same token, one after the other: the first refreshes, the others take it."""
    stand = Stand(gives(1), ends_in=3000)
    old = await stand.usable()
    found = [await stand.refused(old) for _ in range(50)]
    assert {token(opened) for opened in found} == {"a-1"}
    assert len(stand.provider.asked) == 1


async def test_a_credential_that_cannot_be_renewed():
    """A refused API key, or an expired token without a refresh token, needs its owner; nobody is asked."""
    key = Stand(auth="key", secret={"token": "k"})
    assert (await key.refused()).code == "credential_refused"
    stand = Stand(secret={"access_token": "a-0"})
    assert (await stand.usable()).code == "not_refreshable"
    assert key.provider.asked == stand.provider.asked == []
    assert stand.tokens.marked == [(stand.id, "not_refreshable")]


async def test_the_first_token_of_a_robot():
    """A connection that was never used has no token; the first call gets one, under the lease like any other."""
    stand = Stand(gives(1), auth="robot", secret={"client_secret": "s"})
    opened = await stand.usable()
    assert (token(opened), opened.values.secret["client_secret"]) == ("a-1", "s")
    assert "grant_type=client_credentials" in stand.provider.asked[0][1]


async def test_without_a_client_of_the_instance():
    """Nobody brought an OAuth client: a failure that says so, and an administrator's mending helps at once."""
    stand = Stand(gives(1), tokens=MemoryTokens())
    failed = await stand.usable()
    assert (failed.error_class, failed.code, failed.sent) == (ErrorClass.PERMISSION, "no_oauth_client", False)
    stand.tokens.app = OAuthClient("ours")
    assert token(await stand.usable()) == "a-1"


async def test_a_database_away_is_no_reason_to_give_up():
    """A lease that cannot be asked for is a failure for later."""
    stand = Stand(gives(1))

    async def away(_):
        raise Unavailable

    stand.tokens.take = away
    failed = await stand.usable()
    assert (failed.error_class, failed.sent) == (ErrorClass.TRANSIENT, False)


async def test_closing_waits_for_what_a_provider_gives():
    """A process that stops lets a refresh end: the tokens it brings are stored."""
    stand = Stand(gives(1))
    stand.provider.gate.clear()
    waiting = asyncio.create_task(stand.usable())
    await eventually(lambda: stand.provider.asked)
    closing = asyncio.create_task(stand.keeper.close())
    waiting.cancel()
    stand.provider.gate.set()
    await closing
    assert stand.row.opened.version == 2
