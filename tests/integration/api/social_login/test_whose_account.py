"""Whose account a login with a provider opens: known, linked by a proved address, new, or nobody's."""

import asyncio
import logging
from dataclasses import replace
from uuid import uuid4

import pyotp
import pytest

from tests.integration.api.social_login.conftest import (
    BROWSER,
    PASSWORD,
    URL,
    assert_problem,
    come_back,
    leave,
    log_in,
    me,
    query,
)

pytestmark = pytest.mark.integration


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
