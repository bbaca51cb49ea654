"""Visits to a provider: a state is good once, in time, for its browser, its purpose and its provider."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from taske_ray.core.ids import parse_id
from taske_ray.errors import Invalid
from taske_ray.security.pkce import challenge_of
from taske_ray.services.authorizations import Authorizations

pytestmark = pytest.mark.integration


@pytest.fixture
def logins(database, sealer):
    return Authorizations(database, sealer, purpose="login", vault="auth")


@pytest.fixture
def connects(database, sealer):
    return Authorizations(database, sealer, purpose="connect", vault="hooks")


async def test_a_visit_comes_back_once(logins):
    """The state brings back what was kept, with the verifier of the challenge that went out; a second time nothing."""
    begun = await logins.begin("google", target="/docs", detail={"a": 1})
    back = await logins.finish(begun.state, browser=begun.browser, provider="google")
    assert (back.provider, back.user_id, back.target, back.detail) == ("google", None, "/docs", {"a": 1})
    proof = await logins.proof(back)
    assert challenge_of(proof.verifier) == begun.challenge
    assert proof.nonce == begun.nonce
    with pytest.raises(Invalid):
        await logins.finish(begun.state, browser=begun.browser, provider="google")


async def test_twenty_at_once_are_one(logins):
    """Of twenty parallel returns with one state one gets through."""
    begun = await logins.begin("google")
    tries = (logins.finish(begun.state, browser=begun.browser) for _ in range(20))
    found = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(not isinstance(one, Invalid) for one in found) == 1


async def test_two_tabs_of_one_browser_both_come_back(logins):
    """A second visit of the same browser does not end the first; a made-up browser value is replaced."""
    first = await logins.begin("google")
    second = await logins.begin("google", browser=first.browser)
    assert second.browser == first.browser
    assert (await logins.begin("google", browser="short")).browser != "short"
    for begun in (first, second):
        assert (await logins.finish(begun.state, browser=first.browser)).provider == "google"


@pytest.mark.parametrize("what", ["state", "browser", "purpose", "provider", "no state", "no browser", "late"])
async def test_whatever_is_wrong_is_one_refusal(logins, connects, database_url, what):
    """Another state, browser, purpose or provider, a missing one or a late return: one text, nothing spent."""
    begun = await logins.begin("google")
    state = {"state": "A" * 43, "no state": None}.get(what, begun.state)
    browser = {"browser": "A" * 43, "no browser": None}.get(what, begun.browser)
    flow = connects if what == "purpose" else logins
    if what == "late":
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE authorization_states SET expires_at = clock_timestamp()")
    with pytest.raises(Invalid) as refused:
        await flow.finish(state, browser=browser, provider="github" if what == "provider" else "google")
    assert refused.value.code == "bad_state"
    if what != "late":
        assert await logins.finish(begun.state, browser=begun.browser, provider="google")


async def test_a_connect_belongs_to_its_user(accounts, connects, logins):
    """A connect state names its user and never logs in."""
    owner = parse_id("user", await accounts.create_user(f"{uuid4().hex}@example.com", "seven green bottles"))
    begun = await connects.begin("google", owner=owner)
    with pytest.raises(Invalid):
        await logins.finish(begun.state, browser=begun.browser)
    assert (await connects.finish(begun.state, browser=begun.browser)).user_id == owner


async def test_nothing_readable_is_stored(logins, database_url):
    """State, browser, verifier and nonce are not in the row; a lapsed row goes with the next visit."""
    begun = await logins.begin("google")
    proof = await logins.proof(await logins.finish(begun.state, browser=begun.browser))
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT a::text FROM authorization_states a").fetchall()
        assert rows
        for secret in (begun.state, begun.browser, proof.verifier, proof.nonce):
            assert not any(secret in row[0] or secret.encode().hex() in row[0] for row in rows)
        connection.execute("UPDATE authorization_states SET expires_at = clock_timestamp() - interval '1 minute'")
    await logins.begin("google")
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM authorization_states").fetchone() == (1,)
