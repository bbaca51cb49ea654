"""Logging in with a provider over HTTP: there and back, and what the provider says that must not work."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import httpx
import pytest

from deployments.auth_api.app import create_app
from taske_ray.bootstrap import account_services, identity_providers
from taske_ray.settings import Settings, SocialLogin
from tests.integration.api.social_login.conftest import (
    BROWSER,
    URL,
    assert_problem,
    come_back,
    leave,
    log_in,
    me,
    query,
)
from tests.integration.integrations.conftest import reply
from tests.integration.providers import query_of

pytestmark = pytest.mark.integration


# There and back ----------------------------------------------------------------------------------------------------


async def test_a_program_gets_what_log_in_gives(auth, corp):
    """A new person gets an account with a proved address and no password; next time it is the same one."""
    first = await log_in(auth, headers={"accept-language": "fr;q=0.9, ko-KR, en"})
    assert first.status_code == 200
    assert first.json().keys() == {
        "access_token", "token_type", "expires_in", "refresh_token", "password_change_required",
    }  # fmt: skip
    person = await me(auth, first)
    assert (person["email"], person["verified"], person["locale"]) == (corp.claims["email"], True, "ko")
    corp.claims["email"] = "moved@example.com"
    again = await me(auth, await log_in(auth))
    assert (again["id"], again["email"]) == (person["id"], person["email"])
    headers = {"authorization": f"Bearer {first.json()['access_token']}"}
    sessions = (await auth.get("/sessions", headers=headers)).json()["items"]
    assert [session["method"] for session in sessions] == ["corp", "corp"]


@pytest.mark.parametrize("to", [None, "/docs?a=b"])
async def test_a_browser_lands_on_our_own_page_with_its_cookie(auth, corp, to):
    """303 to the path that was asked for, or to `/`, and the cookie there opens the session."""
    sent = await leave(auth, **({"to": to} if to else {}))
    landed = await come_back(auth, sent, headers=BROWSER)
    assert (landed.status_code, landed.headers["location"], landed.content) == (303, to or "/", b"")
    cookie = landed.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "Path=/auth" in cookie
    fresh = await auth.post("/refresh", json={}, headers={"origin": URL})
    assert (await me(auth, fresh))["email"] == corp.claims["email"]


async def test_whoever_names_a_place_is_sent_there(auth):
    """Also a client that does not say that it is a browser."""
    landed = await come_back(auth, await leave(auth, to="/docs"))
    assert (landed.status_code, landed.headers["location"]) == (303, "/docs")


async def test_the_way_there(auth, corp):
    """Minimal scopes, the exact redirect URI, PKCE, and a cookie that is bound to this browser alone."""
    gone = await auth.get("/login/corp")
    sent = query_of(gone.headers["location"])
    assert gone.headers["location"].startswith(f"{corp.issuer}/authorize?")
    assert sent["redirect_uri"] == f"{URL}/auth/login/corp/callback"
    assert (sent["scope"], sent["code_challenge_method"], sent["response_type"]) == ("openid email", "S256", "code")
    assert min(len(sent[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    cookie = gone.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=lax" in cookie.lower()
    assert "Max-Age=600" in cookie
    assert gone.headers["cache-control"] == "no-store"
    assert gone.headers["referrer-policy"] == "no-referrer"


async def test_behind_https_no_neighbour_can_plant_the_cookie(auth_services):
    """The cookie of a visit has the `__Host-` prefix and `Secure` where the public URL is https."""
    from deployments.shared.application import Appearance

    app = create_app(auth_services, Appearance("https://taske.test", b"k" * 32))
    transport = httpx.ASGITransport(app=app, root_path="/auth")
    async with httpx.AsyncClient(transport=transport, base_url="https://taske.test/auth") as client:
        cookie = (await client.get("/login/corp")).headers["set-cookie"]
    assert cookie.startswith("__Host-taske_browser=")
    assert "Secure" in cookie
    assert "Path=/;" in cookie
    assert "domain" not in cookie.lower()


async def test_a_real_provider_logs_people_in(real, tmp_path, database, keyring, appearance):
    """The whole way with a real OpenID provider: consent, exchange, account; a refusal there ends politely."""
    login = SocialLogin("real", real.client_id, real.client_secret, real.issuer)
    email = f"{uuid4().hex}@example.com"
    real.knows("248289761001", email=email, email_verified=True)
    async with AsyncExitStack() as stack:
        settings = Settings(tmp_path, public_url=URL, social_logins=(login,))
        services = account_services(settings, database, keyring, identity_providers(settings, stack))
        transport = httpx.ASGITransport(app=create_app(services, appearance), root_path="/auth")
        auth = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url=f"{URL}/auth"))
        address = (await auth.get("/login/real")).headers["location"]
        back = await asyncio.to_thread(real.consent, address, "248289761001")
        assert (await me(auth, await auth.get(back)))["email"] == email
        assert_problem(await auth.get(back), 422, "bad_state")
        address = (await auth.get("/login/real", params={"to": "/docs"})).headers["location"]
        state = query_of(address)["state"]
        denied = await auth.get("/login/real/callback", params={"error": "access_denied", "state": state})
        assert (denied.status_code, denied.headers["location"]) == (303, "/docs#error=sign_in_refused")


async def test_github_logs_people_in(auth, github):
    """GitHub's dialect from end to end."""
    gone = await auth.get("/login/github")
    answer = await auth.get(github.consent(gone.headers["location"]))
    assert (await me(auth, answer))["email"] == github.addresses[0]["email"]


# What the provider says --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"nonce": "of another visit"}, "bad_id_token"),
        ({"iss": "https://evil.example"}, "bad_id_token"),
        ({"aud": ["client", "other"]}, "bad_id_token"),
        ({"exp": 1_700_000_000}, "bad_id_token"),
    ],
)
async def test_a_token_that_cannot_be_trusted_is_401(auth, corp, claims, code, database_url):
    """Nobody gets in, nobody gets an account, and the refusal is written down without what was said."""
    email = corp.claims["email"]
    corp.claims |= claims
    assert_problem(await log_in(auth), 401, code)
    assert query(database_url, f"SELECT 1 FROM users WHERE email = '{email}'") == []
    [(result, detail)] = query(
        database_url, "SELECT result, detail FROM audit WHERE action = 'session.begin' ORDER BY id DESC LIMIT 1"
    )
    assert (result, detail["method"]) == ("refused", "corp")


async def test_the_answer_of_another_provider_is_refused(auth, corp):
    """`iss` of the answer names somebody else: the code is not shown to anybody (mix-up)."""
    assert_problem(await log_in(auth, iss="https://evil.example"), 401, "sign_in_refused")
    assert corp.hits("/token") == 0
    assert (await log_in(auth, iss=corp.issuer)).status_code == 200


@pytest.mark.parametrize("code", [None, "", "x" * 5000, "한글"])
async def test_no_code_is_nobody(auth, corp, code):
    """A code that is missing or none is refused here."""
    assert_problem(await log_in(auth, code=code), 401, "sign_in_refused")
    assert corp.hits("/token") == 0


async def test_a_provider_that_is_down_is_503(auth, corp, twin):
    """With Retry-After, on the way there and back; the visit is over and a new one works when it is back."""
    corp.answers["/.well-known/openid-configuration"] = reply(b"", status="503 Busy")
    away = await auth.get("/login/corp")
    assert_problem(away, 503, "provider_unavailable")
    assert int(away.headers["retry-after"]) >= 1
    twin.answers["/token"] = reply(b"", status="500 Oops")
    sent = await leave(auth, "twin")
    assert_problem(await come_back(auth, sent, "twin"), 503, "provider_unavailable")
    twin.answers.clear()
    assert_problem(await come_back(auth, sent, "twin"), 422, "bad_state")
    assert (await log_in(auth, "twin")).status_code == 200
