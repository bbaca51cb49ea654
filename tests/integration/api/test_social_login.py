"""Logging in with a provider over HTTP: there and back, whose account it is, and everything that must not work."""

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import replace
from uuid import uuid4

import httpx
import psycopg
import pyotp
import pytest

from deployments.auth_api.app import create_app
from taske_ray.bootstrap import account_services, identity_providers
from taske_ray.core.ids import parse_id
from taske_ray.services.authorizations import Authorizations
from taske_ray.services.sealing import Sealer
from taske_ray.settings import Settings, SocialLogin
from tests.integration.integrations.conftest import reply, serving
from tests.integration.providers import GitHub, Impostor, query_of, real_provider

pytestmark = pytest.mark.integration
URL = "http://taske.test"
PASSWORD = "seven green bottles"
BROWSER = {"accept": "text/html,application/xhtml+xml"}


@pytest.fixture
async def corp():
    """A provider that says what a test wants: at first that this is Mina, whose address it verified."""
    played = Impostor(claims={"email": f"{uuid4().hex}@example.com", "email_verified": True, "sub": uuid4().hex})
    async with serving(played) as server:
        played.port = server.port
        yield played


@pytest.fixture
async def twin(corp):
    """Another provider, whose subject has the same name and is somebody else."""
    played = Impostor(claims={**corp.claims, "email": f"{uuid4().hex}@example.com"})
    async with serving(played) as server:
        played.port = server.port
        yield played


@pytest.fixture
async def github():
    played = GitHub(redirect_uri=f"{URL}/auth/login/github/callback", user={"id": uuid4().int % 10**9 + 1})
    played.addresses = [{"email": f"{uuid4().hex}@example.com", "primary": True, "verified": True}]
    async with serving(played) as server:
        played.port = server.port
        yield played


@pytest.fixture
def real(monkeypatch):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with real_provider(f"{URL}/auth/login/real/callback", names_itself=True) as provider:
        yield provider


@pytest.fixture
def settings(tmp_path, corp, twin, github):
    logins = (
        SocialLogin("corp", "client", "corp-secret-canary", corp.issuer),
        SocialLogin("github", github.client_id, github.client_secret, github.home),
        SocialLogin("twin", "client", "twin-secret", twin.issuer),
    )
    return Settings(tmp_path, public_url=URL, social_logins=logins)


@pytest.fixture
async def providers(settings):
    async with AsyncExitStack() as stack:
        yield identity_providers(settings, stack)


@pytest.fixture
def other_auth(database, keyring, providers, appearance):
    """Call it for a client of an `/auth` with other settings, as another browser."""

    def client(settings):
        services = account_services(settings, database, keyring, providers)
        transport = httpx.ASGITransport(app=create_app(services, appearance), root_path="/auth")
        return httpx.AsyncClient(transport=transport, base_url=f"{URL}/auth")

    return client


async def leave(auth, name="corp", **query):
    """Begin a login: the parameters that the provider got."""
    gone = await auth.get(f"/login/{name}", params=query)
    assert gone.status_code == 303, gone.text
    return query_of(gone.headers["location"])


async def come_back(auth, sent, name="corp", headers=None, **changes):
    """End it, with the provider's answer changed. The code is the nonce, as the impostor wants it."""
    answer = {"state": sent["state"], "code": sent["nonce"], **changes}
    params = {name: value for name, value in answer.items() if value is not None}
    return await auth.get(f"/login/{name}/callback", params=params, headers=headers)


async def log_in(auth, name="corp", **more):
    return await come_back(auth, await leave(auth, name), name, **more)


async def me(auth, answer):
    found = await auth.get("/me", headers={"authorization": f"Bearer {answer.json()['access_token']}"})
    assert found.status_code == 200, answer.text
    return found.json()


def query(database_url, statement):
    with psycopg.connect(database_url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


def assert_problem(response, status, code):
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert response.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in response.headers


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


# States ------------------------------------------------------------------------------------------------------------


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


# Whose account it is -----------------------------------------------------------------------------------------------


async def test_a_proved_account_is_linked_by_a_verified_address(auth, auth_services, corp, database_url):
    """Both sides verified: the same account, whose password stays; its owner is told by mail."""
    corp.claims["email"] = email = f"{uuid4().hex}@example.com"
    owner = await auth_services.accounts.create_user(email, PASSWORD)
    corp.claims["email"] = email.upper()
    assert (await me(auth, await log_in(auth)))["id"] == owner
    assert (await auth.post("/login", json={"email": email, "password": PASSWORD})).status_code == 200
    [(purpose,)] = query(database_url, f"SELECT purpose FROM mails WHERE recipients = ARRAY['{email}']")
    assert purpose == "linked"


@pytest.mark.parametrize("verified", [False, None, "true", 1])
async def test_an_unverified_address_links_and_makes_nothing(auth, auth_services, corp, verified, database_url):
    """Whoever can write any address into their profile at a provider gets into nobody's account, and gets none."""
    email = f"{uuid4().hex}@example.com"
    await auth_services.accounts.create_user(email, PASSWORD)
    for claimed in (email, f"{uuid4().hex}@example.com", None, "no address"):
        corp.claims |= {"email": claimed, "email_verified": verified}
        assert_problem(await log_in(auth), 403, "address_unverified")
    assert query(database_url, f"SELECT 1 FROM identities WHERE subject = '{corp.claims['sub']}'") == []


async def test_a_known_person_needs_no_address_any_more(auth, corp):
    """Linked once, the identity counts, whatever the provider says of the address later."""
    person = await me(auth, await log_in(auth))
    corp.claims |= {"email": None, "email_verified": False}
    assert (await me(auth, await log_in(auth)))["id"] == person["id"]


async def test_two_providers_are_one_person(auth, corp, github):
    """The same verified address at two providers leads to one account."""
    corp.claims["email"] = github.addresses[0]["email"]
    person = await me(auth, await log_in(auth))
    answer = await auth.get(github.consent((await auth.get("/login/github")).headers["location"]))
    assert (await me(auth, answer))["id"] == person["id"]


async def test_the_same_subject_elsewhere_is_somebody_else(auth):
    """Identity is issuer and subject: another issuer's subject of the same name is another person."""
    person = await me(auth, await log_in(auth))
    assert (await me(auth, await log_in(auth, "twin")))["id"] != person["id"]


@pytest.mark.parametrize("required", [True, False])
async def test_an_account_that_was_prepared_for_its_owner_is_taken_from_strangers(
    auth, other_auth, settings, corp, required, database_url
):
    """Pre-hijacking: a password, sessions, keys and tokens from before the address was proved are worth nothing."""
    email = corp.claims["email"]
    async with other_auth(replace(settings, require_email_verification=required)) as thief:
        await thief.post("/signup", json={"email": email, "password": PASSWORD})
        held = {}
        if not required:
            tokens = (await thief.post("/login", json={"email": email, "password": PASSWORD})).json()
            bearer = {"authorization": f"Bearer {tokens['access_token']}"}
            key = (await thief.post("/api-keys", json={"name": "mine"}, headers=bearer)).json()["key"]
            enrolled = (await thief.post("/totp", headers=bearer)).json()
            held = {"access": bearer, "key": {"authorization": f"Bearer {key}"}}
            assert (await thief.get("/me", headers=held["key"])).status_code == 200
            code = pyotp.TOTP(enrolled["secret"]).now()
            confirmed = await thief.post("/totp/confirm", json={"code": code}, headers=bearer)
            assert confirmed.status_code == 200, confirmed.text
            held["after"] = {"authorization": f"Bearer {confirmed.json()['access_token']}"}
        [(body,)] = query(database_url, f"SELECT body_text FROM mails WHERE '{email}' = ANY(recipients) LIMIT 1") or [
            ("",)
        ]
        person = await me(auth, await log_in(auth))
        assert person["email"] == email
        assert (await thief.post("/login", json={"email": email, "password": PASSWORD})).status_code == 401
        for headers in held.values():
            assert (await thief.get("/me", headers=headers)).status_code == 401
        refreshed = await thief.post("/refresh", json={}, headers={"origin": URL})
        assert refreshed.status_code == 401
        token = body.partition("#token=")[2].split()[0]
        assert (await thief.post("/verify", json={"token": token})).status_code == 422


async def test_closed_sign_up_lets_only_known_people_in(auth_services, other_auth, settings, corp):
    """Strangers get no account; who has one gets in."""
    async with other_auth(replace(settings, signup="closed")) as closed:
        assert_problem(await log_in(closed), 403, "signup_closed")
        owner = await auth_services.accounts.create_user(corp.claims["email"], PASSWORD)
        assert (await me(closed, await log_in(closed)))["id"] == owner


async def test_a_disabled_account_stays_shut(auth, corp, database_url):
    """Neither its identity nor another one with its address opens it."""
    person = await me(auth, await log_in(auth))
    query(database_url, f"UPDATE users SET status = 'disabled' WHERE email = '{person['email']}'")
    assert_problem(await log_in(auth), 401, "sign_in_refused")
    corp.claims["sub"] = "another"
    assert_problem(await log_in(auth), 401, "sign_in_refused")


async def test_many_first_logins_at_once_make_one_account(auth, corp, database_url):
    """Five visits of one new person that end together: one account, one session each."""
    email = corp.claims["email"]
    visits = [await leave(auth) for _ in range(5)]
    answers = await asyncio.gather(*(come_back(auth, sent) for sent in visits))
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    owners = (
        "SELECT count(DISTINCT user_id), count(*) FROM sessions JOIN users u ON u.id = user_id WHERE u.email = '{}'"
    )
    assert query(database_url, owners.format(email)) == [(1, 5)]


async def test_the_second_factor_is_not_skipped(auth, corp):
    """With one-time codes enrolled, a provider is the first factor only: a challenge, which opens nothing else."""
    tokens = (await log_in(auth)).json()
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    totp = pyotp.TOTP((await auth.post("/totp", headers=bearer)).json()["secret"])
    confirmed = await auth.post("/totp/confirm", json={"code": totp.now()}, headers=bearer)
    codes = confirmed.json()["recovery_codes"]
    due = await log_in(auth)
    assert due.status_code == 200
    assert due.json().keys() == {"second_factor"}
    challenge = due.json()["second_factor"]["challenge"]
    assert "taske_refresh" not in due.headers.get("set-cookie", "")
    assert (await auth.get("/me", headers={"authorization": f"Bearer {challenge}"})).status_code == 401
    opened = await auth.post("/login/second-factor", json={"challenge": challenge, "code": codes[0]})
    assert (await me(auth, opened))["email"] == corp.claims["email"]
    landed = await come_back(auth, await leave(auth, to="/docs#top"), headers=BROWSER)
    place, _, fragment = landed.headers["location"].partition("#")
    assert place == "/docs"
    given = dict(part.split("=") for part in fragment.split("&"))
    assert given["methods"] == "totp%2Crecovery_code"
    assert "set-cookie" not in landed.headers
    opened = await auth.post("/login/second-factor", json={"challenge": given["second_factor"], "code": codes[1]})
    assert opened.status_code == 200


async def test_a_compromised_account_asks_for_a_mailed_code(auth):
    """While an account is marked, a provider alone does not open it."""
    tokens = (await log_in(auth)).json()
    await auth.post("/refresh", json={"refresh_token": tokens["refresh_token"]})
    second = (await auth.post("/refresh", json={"refresh_token": tokens["refresh_token"]})).json()
    await auth.post("/refresh", json={"refresh_token": second["refresh_token"]})
    assert (await auth.post("/refresh", json={"refresh_token": tokens["refresh_token"]})).status_code == 401
    assert (await log_in(auth)).json()["second_factor"]["methods"] == ["mail"]


async def test_a_link_that_was_not_the_owner_s_is_taken_off(auth, auth_services, corp, database_url):
    """The mail about a link can undo it: sessions end, and the identity opens nothing but a new link's mail."""
    email = corp.claims["email"]
    await auth_services.accounts.create_user(email, PASSWORD)
    tokens = (await log_in(auth)).json()
    [(body,)] = query(database_url, f"SELECT body_text FROM mails WHERE '{email}' = ANY(recipients)")
    token = body.partition("#token=")[2].split()[0]
    assert (await auth.post("/not-me", json={"token": token})).status_code == 204
    bearer = {"authorization": f"Bearer {tokens['access_token']}"}
    assert (await auth.get("/me", headers=bearer)).status_code == 401
    assert query(database_url, f"SELECT 1 FROM identities WHERE subject = '{corp.claims['sub']}'") == []
    corp.claims |= {"email": None, "email_verified": None}
    assert_problem(await log_in(auth), 403, "address_unverified")


async def test_an_owner_takes_a_provider_off(auth, corp, twin):
    """A way in that is left is needed: with a second provider the first one goes, and opens nothing any more."""
    bearer = {"authorization": f"Bearer {(await log_in(auth)).json()['access_token']}"}
    (only,) = (await auth.get("/identities", headers=bearer)).json()["items"]
    assert (only["provider"], only["email"]) == ("corp", corp.claims["email"])
    assert_problem(await auth.delete(f"/identities/{only['id']}", headers=bearer), 409, "last_way_in")
    twin.claims["email"] = corp.claims["email"]
    assert (await me(auth, await log_in(auth, "twin")))["email"] == corp.claims["email"]
    listed = (await auth.get("/identities", headers=bearer)).json()["items"]
    assert [one["provider"] for one in listed] == ["twin", "corp"]
    assert (await auth.delete(f"/identities/{only['id']}", headers=bearer)).status_code == 204
    assert_problem(await auth.delete(f"/identities/{listed[0]['id']}", headers=bearer), 409, "last_way_in")
    corp.claims |= {"email": None, "email_verified": None}
    assert_problem(await log_in(auth), 403, "address_unverified")


async def test_deleting_the_account_frees_the_identity(auth):
    """The next login of the same person is a new account."""
    answer = await log_in(auth)
    person = await me(auth, answer)
    bearer = {"authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await auth.request("DELETE", "/me", headers=bearer)).status_code == 204
    assert (await me(auth, await log_in(auth)))["id"] != person["id"]


async def test_nothing_secret_is_kept_or_logged(auth, corp, database_url, caplog):
    """Client secret, code, state, browser, verifier and ID token are in no row, no log line and no problem."""
    caplog.set_level(logging.DEBUG)
    corp.claims["email_verified"] = False
    sent = await leave(auth)
    refused = await come_back(auth, sent, code="code-canary-in-the-answer")
    verifier = next(form["code_verifier"] for path, _, form in corp.asked if path == "/token")
    canaries = (
        "corp-secret-canary", "code-canary-in-the-answer", sent["state"], auth.cookies["taske_browser"], verifier,
        corp.id_token().rpartition(".")[0],
    )  # fmt: skip
    assert any("address_unverified" in text for (text,) in query(database_url, "SELECT a::text FROM audit a"))
    tables = [name for (name,) in query(database_url, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    kept = str([query(database_url, f'SELECT t::text FROM "{name}" t') for name in tables])
    for canary in canaries:
        assert canary not in kept
        assert canary not in str(ours)
        assert canary not in refused.text
