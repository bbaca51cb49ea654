"""`/auth` over HTTP: the contract's statuses and answers, and how bad requests are refused."""

import asyncio
from dataclasses import replace

import httpx
import pytest

from deployments.auth_api.app import create_app

pytestmark = pytest.mark.integration
PASSWORD = "seven green bottles"


def assert_problem(response, status, code=None):
    problem = response.json()
    assert response.status_code == status, problem
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["request_id"] == response.headers["x-request-id"]
    assert {"type", "title", "detail", "instance"} <= problem.keys()
    if code:
        assert problem["code"] == code
    return problem


async def test_sign_up_log_in_and_read_oneself(auth):
    """A new account gets a session and reads itself; the answer to a second sign-up is the same."""
    body = {"email": "mina@example.com", "password": PASSWORD, "locale": "ko"}
    first = await auth.post("/signup", json=body)
    second = await auth.post("/signup", json=body)
    assert (first.status_code, first.content) == (202, second.content)
    tokens = (await auth.post("/login", json={"email": " Mina@Example.com", "password": PASSWORD})).json()
    assert tokens["token_type"] == "bearer"
    me = await auth.get("/me", headers={"authorization": f"Bearer {tokens['access_token']}"})
    assert me.status_code == 200
    assert me.json()["email"] == "mina@example.com"
    assert me.json()["locale"] == "ko"
    assert me.json()["id"].startswith("user_")
    assert me.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in me.headers["content-security-policy"]


async def test_wrong_password_and_unknown_address_look_alike(auth, person):
    """Two refused logins differ in nothing but the request id."""
    wrong = await auth.post("/login", json={"email": person["email"], "password": "x" * 12})
    unknown = await auth.post("/login", json={"email": "nobody@example.com", "password": "x" * 12})
    one, other = assert_problem(wrong, 401), assert_problem(unknown, 401)
    assert {**one, "request_id": ""} == {**other, "request_id": ""}


async def test_refresh_and_log_out(auth, person):
    """Refresh gives another pair by body or by cookie of our own origin; log-out ends it."""
    pair = await auth.post("/refresh", json={"refresh_token": person["refresh_token"]})
    assert pair.status_code == 200
    assert auth.cookies["taske_refresh"] == pair.json()["refresh_token"]
    assert_problem(await auth.post("/refresh"), 403, "foreign_origin")
    ours = {"origin": "http://taske.test", "content-type": "application/json"}
    for forged, status in (
        (ours | {"origin": "http://evil.test"}, 403),
        (ours | {"origin": "null"}, 403),
        ({"content-type": "application/json"}, 403),
        (ours | {"content-type": "text/plain"}, 415),
        ({"origin": "http://taske.test"}, 415),
    ):
        refused = await auth.post("/refresh", headers=forged)
        assert (refused.status_code, "set-cookie" in refused.headers) == (status, False)
    by_cookie = await auth.post("/refresh", headers=ours)
    assert by_cookie.status_code == 200
    headers = {"authorization": f"Bearer {by_cookie.json()['access_token']}"}
    assert (await auth.post("/logout", json={}, headers=headers)).status_code == 204
    assert_problem(await auth.get("/me", headers=headers), 401)


async def test_api_keys_over_http(auth, person):
    """A key is shown once, works, is listed without its secret, may not make keys, and ends."""
    made = await auth.post("/api-keys", json={"name": "ci", "scopes": ["read"]}, headers=person["headers"])
    assert made.status_code == 201
    key = {"authorization": f"Bearer {made.json()['key']}"}
    assert (await auth.get("/me", headers=key)).json()["email"] == person["email"]
    assert_problem(await auth.post("/api-keys", json={"name": "x"}, headers=key), 403, "session_required")
    listed = (await auth.get("/api-keys", headers=person["headers"])).json()
    assert [one["id"] for one in listed["items"]] == [made.json()["id"]]
    assert listed["next_cursor"] is None
    assert (await auth.delete(f"/api-keys/{made.json()['id']}", headers=person["headers"])).status_code == 204
    assert_problem(await auth.get("/me", headers=key), 401)


async def test_lists_are_paged_with_signed_cursors(auth, person):
    """Pages cover the list once; a cursor that was changed is refused."""
    for number in range(5):
        await auth.post("/api-keys", json={"name": f"key {number}"}, headers=person["headers"])
    names, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await auth.get("/api-keys", params=query, headers=person["headers"])).json()
        names += [one["name"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert names == [f"key {number}" for number in reversed(range(5))]
    changed = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    problem = assert_problem(await auth.get("/api-keys", params={"cursor": changed}, headers=person["headers"]), 422)
    assert problem["errors"][0]["code"] == "bad_cursor"


async def test_one_idempotency_key_is_one_answer(auth, person):
    """Ten equal requests with one key make one API key; another body with it is refused."""
    headers = person["headers"] | {"idempotency-key": "once"}
    answers = await asyncio.gather(*(auth.post("/api-keys", json={"name": "a"}, headers=headers) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["key"] for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 9
    refused = await auth.post("/api-keys", json={"name": "b"}, headers=headers)
    assert_problem(refused, 422, "idempotency_key_reused")
    assert len((await auth.get("/api-keys", headers=person["headers"])).json()["items"]) == 1


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b'{"email": "a@b.c", "password": "x", "role": "admin"}', "application/json", 422, "unknown_field"),
        (b'{"email": "a@b.c"}', "application/json", 422, "missing"),
        (b'{"email": 1, "password": "x"}', "application/json", 422, "wrong_type"),
        (b'{"email": "a@b.c", "email": "b@b.c", "password": "x"}', "application/json", 422, "duplicate_key"),
        (b'{"email": "a\\u0000@b.c", "password": "x"}', "application/json", 422, "bad_text"),
        (b'{"email": "a@b.c", "password": "\\ud800"}', "application/json", 422, "bad_text"),
        (b'{"email": "a@b.c", "password": NaN}', "application/json", 422, "bad_number"),
        (b'\xef\xbb\xbf{"email": "a@b.c", "password": "x"}', "application/json", 422, "bad_json"),
        (b"[" * 70 + b"]" * 70, "application/json", 422, "too_deep"),
        (b"{", "application/json", 422, "bad_json"),
        (b"email=a", "application/x-www-form-urlencoded", 415, None),
        (b"{}", "application/json; charset=latin1", 415, None),
        (b'{"email": "' + b"a" * 5000 + b'"}', "application/json", 413, None),
    ],
)
async def test_bad_bodies_are_refused(auth, body, content_type, status, code):
    """Each kind of bad body has its status and says what is wrong where; none is a 500."""
    response = await auth.post("/login", content=body, headers={"content-type": content_type})
    problem = assert_problem(response, status)
    if code:
        assert problem["errors"][0]["code"] == code


async def test_no_such_path_and_no_such_method(auth):
    """404 and 405 are problems too."""
    assert_problem(await auth.get("/nothing"), 404, "not_found")
    assert_problem(await auth.put("/login", json={}), 405, "method_not_allowed")


@pytest.mark.usefixtures("person")
async def test_public_keys(auth):
    """The JWK set holds the key that signed the caller's token."""
    keys = (await auth.get("/jwks.json")).json()["keys"]
    assert keys[0]["crv"] == "Ed25519"
    assert "d" not in keys[0]


async def test_deleting_oneself(auth, person):
    """DELETE /auth/me answers 204 and the token is dead."""
    assert (await auth.delete("/me", headers=person["headers"])).status_code == 204
    assert_problem(await auth.get("/me", headers=person["headers"]), 401)


async def test_every_rate_is_refused_with_the_same_text(auth, auth_services, person, appearance):
    """Failed logins, wrong codes and sign-ups: 429 with `Retry-After`, alike but for the path and the request."""
    narrow = replace(appearance, limits=replace(appearance.limits, sign_ups_per_hour=1))
    transport = httpx.ASGITransport(app=create_app(auth_services, narrow), root_path="/auth")
    async with httpx.AsyncClient(transport=transport, base_url=auth.base_url) as client:
        body = {"email": "x", "password": "x"}
        signed_up = [await client.post("/signup", json=body) for _ in range(2)][-1]
    login = {"email": "nobody@example.com", "password": "x" * 12}
    logged_in = [await auth.post("/login", json=login) for _ in range(11)][-1]
    begun = (await auth.post("/totp", json={}, headers=person["headers"])).json()
    assert begun["secret"]
    codes = [await auth.post("/totp/confirm", json={"code": "000000"}, headers=person["headers"]) for _ in range(21)]
    told = []
    for answer in (signed_up, logged_in, codes[-1]):
        problem = assert_problem(answer, 429, "rate_limited")
        assert int(answer.headers["retry-after"]) >= 1
        told.append({**problem, "request_id": "", "instance": ""})
    assert told == [told[0]] * 3
