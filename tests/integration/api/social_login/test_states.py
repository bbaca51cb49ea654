"""What a browser brings back from a provider: good once, in time, in this browser, for this provider and purpose."""

import asyncio
from uuid import uuid4

import pytest

from taske_ray.core.ids import parse_id
from taske_ray.services.authorizations import Authorizations
from taske_ray.services.sealing import Sealer
from tests.integration.api.social_login.conftest import BROWSER, PASSWORD, assert_problem, come_back, leave, query

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("state", [None, "", "A" * 43, "x" * 5000, "한글"])
async def test_a_missing_state_is_like_a_wrong_one(auth, corp, state):
    """The answer is the same, and the provider is asked nothing."""
    sent = await leave(auth)
    assert_problem(await come_back(auth, sent, state=state), 422, "bad_state")
    assert corp.hits("/token") == 0
    assert (await come_back(auth, sent)).status_code == 200


async def test_a_state_is_good_once(auth, corp):
    """Replayed afterwards or twenty times at once: one session."""
    sent = await leave(auth)
    answers = await asyncio.gather(*(come_back(auth, sent) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 19
    assert corp.hits("/token") == 1
    assert_problem(await come_back(auth, sent), 422, "bad_state")


async def test_a_state_belongs_to_its_browser(auth, other_auth, settings):
    """Sent to another browser, or to one without the cookie, it opens nothing there and is not spent."""
    sent = await leave(auth)
    async with other_auth(settings) as stranger:
        assert_problem(await come_back(stranger, sent), 422, "bad_state")
        await leave(stranger)
        assert_problem(await come_back(stranger, sent), 422, "bad_state")
    assert (await come_back(auth, sent)).status_code == 200


async def test_two_tabs_are_one_browser(auth):
    """A login begun in a second tab leaves the first one good."""
    first, second = await leave(auth), await leave(auth)
    for sent in (first, second):
        assert (await come_back(auth, sent)).status_code == 200


async def test_a_state_belongs_to_its_provider_and_purpose(auth, database, keyring, auth_services):
    """Not good at the callback of another provider, nor one that was made to connect an account."""
    sent = await leave(auth)
    assert_problem(await come_back(auth, sent, "twin"), 422, "bad_state")
    assert_problem(await come_back(auth, sent, "github"), 422, "bad_state")
    owner = parse_id("user", await auth_services.accounts.create_user(f"{uuid4().hex}@example.com", PASSWORD))
    connects = Authorizations(database, Sealer(database, keyring), purpose="connect", vault="hooks")
    begun = await connects.begin("corp", owner=owner, browser=auth.cookies["taske_browser"])
    assert_problem(await come_back(auth, sent, state=begun.state), 422, "bad_state")
    assert (await come_back(auth, sent)).status_code == 200


async def test_a_state_ends_after_ten_minutes(auth, database_url):
    """Late is like wrong."""
    sent = await leave(auth)
    query(database_url, "UPDATE authorization_states SET expires_at = expires_at - interval '10 minutes'")
    assert_problem(await come_back(auth, sent), 422, "bad_state")


async def test_doubled_parameters_count_as_missing(auth, corp):
    """Of two states or codes nobody knows which one was meant."""
    sent = await leave(auth)
    doubled = f"/login/corp/callback?state={sent['state']}&state={sent['state']}&code=a"
    assert_problem(await auth.get(doubled), 422, "bad_state")
    two_codes = f"/login/corp/callback?state={sent['state']}&code=a&code=b"
    assert_problem(await auth.get(two_codes), 401, "sign_in_refused")
    assert corp.hits("/token") == 0


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/a\r\nlocation: x", "javascript:x", ""]
)
async def test_the_place_to_land_is_ours(auth, to):
    """Another origin is refused before anybody goes anywhere."""
    assert_problem(await auth.get("/login/corp", params={"to": to}), 422, "invalid")
    for name in ("next", "redirect", "return_to", "redirect_uri", "url"):
        landed = await come_back(auth, await leave(auth, **{name: "//evil.example"}), headers=BROWSER)
        assert landed.headers["location"] == "/"


async def test_unknown_providers_are_missing(auth):
    """A name that nobody configured is 404, there and back."""
    for path in ("/login/nobody", "/login/nobody/callback?state=a&code=b", "/login/CORP", "/login/corp%2F"):
        assert (await auth.get(path)).status_code == 404
