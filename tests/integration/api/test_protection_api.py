"""What protects an account, over HTTP: second factor, password, address, sessions, cookies (security, 4.6 to 6.6)."""

import re
import time

import pyotp
import pytest

from taske_ray.db.mails import list_mails
from tests.integration.api.test_auth_api import PASSWORD, assert_problem

pytestmark = pytest.mark.integration


async def newest_mail(database, address, purpose):
    async with database.transaction() as tx:
        mails = await list_mails(tx, limit=1000)
    return next(mail for mail in mails if mail.recipients == [address] and mail.purpose == purpose)


def bearer(tokens):
    return {"authorization": f"Bearer {tokens['access_token']}"}


async def test_a_second_factor_from_enrolment_to_removal(auth, person):
    """Secret and URI, recovery codes with a new session, a challenge at login, 204 at the end."""
    begun = await auth.post("/totp", json={}, headers=person["headers"])
    assert begun.status_code == 200
    totp = pyotp.TOTP(begun.json()["secret"])
    problem = assert_problem(await auth.post("/totp/confirm", json={"code": "x"}, headers=person["headers"]), 422)
    assert problem["errors"][0] == {
        "pointer": "/code",
        "code": "wrong_code",
        "message": problem["errors"][0]["message"],
    }
    confirmed = await auth.post("/totp/confirm", json={"code": totp.at(time.time())}, headers=person["headers"])
    codes = confirmed.json()["recovery_codes"]
    assert len(codes) == 10
    assert_problem(await auth.get("/me", headers=person["headers"]), 401)
    assert (await auth.get("/me", headers=bearer(confirmed.json()))).status_code == 200

    login = {"email": person["email"], "password": PASSWORD}
    due = (await auth.post("/login", json=login)).json()
    assert due["second_factor"]["methods"] == ["totp", "recovery_code"]
    assert "access_token" not in due
    challenge = due["second_factor"]["challenge"]
    wrong = await auth.post("/login/second-factor", json={"challenge": challenge, "code": "000000"})
    assert_problem(wrong, 401, "wrong_code")
    right = await auth.post("/login/second-factor", json={"challenge": challenge, "code": codes[0]})
    assert right.status_code == 200
    assert auth.cookies["taske_refresh"] == right.json()["refresh_token"]
    removed = await auth.request("DELETE", "/totp", json={"code": codes[1]}, headers=bearer(right.json()))
    assert removed.status_code == 204
    assert_problem(await auth.get("/me", headers=bearer(right.json())), 401)
    assert "access_token" in (await auth.post("/login", json=login)).json()


async def test_the_cookie_is_for_browsers_and_for_auth_only(auth, person):
    """HttpOnly, SameSite=Strict, Path=/auth, as long as the token lives; gone at log-out."""
    answer = await auth.post("/login", json={"email": person["email"], "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Path=/auth", "SameSite=strict", "Max-Age=2592000"} <= set(cookie.split("; "))
    ended = await auth.post("/logout", json={}, headers=bearer(answer.json()))
    assert "Max-Age=0" in ended.headers["set-cookie"]


async def test_nobody_gets_anothers_tokens_by_an_idempotency_key(auth, person, admin):
    """Two browsers that refresh by cookie with one key get their own pairs."""
    answers = []
    for one in (person, admin):
        auth.cookies.clear()
        auth.cookies.set("taske_refresh", one["refresh_token"], domain="taske.test", path="/auth")
        headers = {"origin": "http://taske.test", "content-type": "application/json", "idempotency-key": "same"}
        answers.append(await auth.post("/refresh", headers=headers))
    assert answers[0].status_code == 200
    assert_problem(answers[1], 422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/password", {"password": "nine blue bottles on a wall"}),
        ("POST", "/email", {"email": "new@example.com"}),
        ("POST", "/totp", {}),
        ("POST", "/totp/confirm", {"code": "123456"}),
        ("DELETE", "/totp", {"code": "123456"}),
        ("POST", "/api-keys", {"name": "k"}),
        ("DELETE", "/api-keys/key_1", None),
        ("DELETE", "/me", None),
    ],
)
async def test_a_session_of_yesterday_has_to_prove_itself(auth, person, database, method, path, body):
    """403 `reauthentication_required`, nothing is done, and after `/reauthenticate` it goes on."""
    async with database.transaction() as tx:
        connection = await tx.connection()
        await connection.exec_driver_sql("UPDATE sessions SET authenticated_at = now() - interval '1 day'")
    refused = await auth.request(method, path, json=body, headers=person["headers"])
    assert_problem(refused, 403, "reauthentication_required")
    again = await auth.post("/reauthenticate", json={"password": PASSWORD}, headers=person["headers"])
    assert again.status_code == 204
    answer = await auth.request(method, path, json=body, headers=person["headers"])
    assert answer.status_code != 403


async def test_a_password_is_forgotten_and_chosen_anew(auth, person, database):
    """202 alike for all, a token by mail, 204, and only the new password opens."""
    answers = [
        await auth.post("/password/forgot", json={"email": one}) for one in (person["email"], "nobody@x.example")
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    mail = await newest_mail(database, person["email"], "reset")
    token = re.search(r"#token=([\w-]+)", mail.body_text)[1]
    assert "http://taske.test/reset#token=" in mail.body_text
    body = {"token": token, "password": "nine blue bottles on a wall"}
    assert (await auth.post("/password/reset", json=body, headers={"host": "evil.example"})).status_code == 204
    assert_problem(await auth.post("/password/reset", json=body), 422)
    assert_problem(await auth.post("/login", json={"email": person["email"], "password": PASSWORD}), 401)
    login = {"email": person["email"], "password": "nine blue bottles on a wall"}
    assert (await auth.post("/login", json=login)).status_code == 200


async def test_sessions_are_listed_and_ended(auth, person):
    """The list says which one asks; the other is ended, and a foreign id is a 404."""
    other = (await auth.post("/login", json={"email": person["email"], "password": PASSWORD})).json()
    listed = (await auth.get("/sessions", headers=person["headers"])).json()["items"]
    assert sorted(one["current"] for one in listed) == [False, True]
    (another,) = [one["id"] for one in listed if not one["current"]]
    assert (await auth.delete(f"/sessions/{another}", headers=person["headers"])).status_code == 204
    assert_problem(await auth.get("/me", headers=bearer(other)), 401)
    assert_problem(await auth.delete(f"/sessions/{another}", headers=person["headers"]), 404)
    me = next(one["id"] for one in listed if one["current"])
    assert (await auth.post(f"/sessions/{me}/not-me", json={}, headers=person["headers"])).status_code == 204
    due = (await auth.post("/login", json={"email": person["email"], "password": PASSWORD})).json()
    assert due["second_factor"]["methods"] == ["mail"]


async def test_long_passwords_are_taken_whole_and_longer_bodies_before_any_hash(auth, person, monkeypatch):
    """128 characters of any script count to the last one; beyond 4 KiB the answer is 413 and nothing is hashed."""
    long = "пароль 비밀번호 " * 8 + "x" * 40
    changed = await auth.post("/password", json={"password": long}, headers=person["headers"])
    assert changed.status_code == 200
    login = {"email": person["email"], "password": long}
    assert (await auth.post("/login", json=login)).status_code == 200
    assert_problem(await auth.post("/login", json=login | {"password": long[:-1]}), 401)
    monkeypatch.setattr("taske_ray.security.hashing.verify_password", lambda *_: pytest.fail("hashed"))
    assert_problem(await auth.post("/login", json=login | {"password": "x" * 4096}), 413)
