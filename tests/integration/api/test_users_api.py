"""Accounts for administrators, over HTTP: what acts on the next request, and who may not be touched (security, 8.8)."""

import asyncio

import psycopg
import pytest

from tests.integration.api.test_auth_api import assert_problem

pytestmark = pytest.mark.integration
ACTION = {"capability": "http.request", "params": {"url": "https://example.com/"}}
HOOK = {"name": "Hook", "trigger": {"capability": "system.webhook"}, "actions": [ACTION]}


async def id_of(auth, headers):
    return (await auth.get("/me", headers=headers)).json()["id"]


async def test_disabling_acts_on_the_next_request_and_enabling_gives_it_back(
    auth, api, hooks, admin, person, database_url
):
    """Tokens, keys and logins are refused, triggers pause and hooks are gone; enabled, all but the sessions return."""
    key = (await auth.post("/api-keys", json={"name": "k"}, headers=person["headers"])).json()["key"]
    task = (await api.post("/tasks", json=HOOK, headers=person["headers"])).json()
    hook = task["trigger"]["hook_url"].rpartition("/hooks")[2]
    assert (await hooks.post(hook, json={})).status_code == 202
    place = f"/users/{await id_of(auth, person['headers'])}"

    answer = await auth.patch(place, json={"status": "disabled"}, headers=admin["headers"])
    assert (answer.status_code, answer.json()["status"]) == (200, "disabled")
    assert_problem(await auth.get("/me", headers=person["headers"]), 401)
    assert_problem(await auth.get("/me", headers={"authorization": f"Bearer {key}"}), 401)
    assert_problem(await auth.post("/refresh", json={"refresh_token": person["refresh_token"]}), 401)
    login = {"email": person["email"], "password": "seven green bottles"}
    assert_problem(await auth.post("/login", json=login), 401, "bad_credentials")
    assert (await hooks.post(hook, json={})).status_code == 404
    paused = "SELECT paused_reason FROM triggers WHERE id = %s"
    trigger = task["trigger"]["id"].removeprefix("trigger_")
    with psycopg.connect(database_url) as connection:
        assert connection.execute(paused, [trigger]).fetchone() == ("the account is disabled",)

    await auth.patch(place, json={"status": "active"}, headers=admin["headers"])
    assert_problem(await auth.get("/me", headers=person["headers"]), 401)
    assert (await auth.post("/login", json=login)).status_code == 200
    assert (await auth.get("/me", headers={"authorization": f"Bearer {key}"})).status_code == 200
    assert (await hooks.post(hook, json={})).status_code == 202
    with psycopg.connect(database_url) as connection:
        assert connection.execute(paused, [trigger]).fetchone() == (None,)
        acts = connection.execute(
            "SELECT action, detail FROM audit WHERE object = %s ORDER BY at", [place.removeprefix("/users/")]
        ).fetchall()
    assert acts == [("user.change", {"status": "disabled"}), ("user.change", {"status": "active"})]


async def test_a_role_acts_on_the_next_request(auth, admin, person):
    """With another role every token so far is refused; a new login and the keys have the role."""
    place = f"/users/{await id_of(auth, person['headers'])}"
    made = await auth.post("/api-keys", json={"name": "k"}, headers=person["headers"])
    key = {"authorization": f"Bearer {made.json()['key']}"}
    login = {"email": person["email"], "password": "seven green bottles"}
    assert_problem(await auth.get("/users", headers=person["headers"]), 403, "admin_required")
    held = person
    for role, allowed in (("admin", 200), ("user", 403)):
        await auth.patch(place, json={"role": role}, headers=admin["headers"])
        headers = {"authorization": f"Bearer {held['access_token']}"}
        assert_problem(await auth.get("/users", headers=headers), 401)
        assert_problem(await auth.post("/refresh", json={"refresh_token": held["refresh_token"]}), 401)
        held = (await auth.post("/login", json=login)).json()
        for fresh in ({"authorization": f"Bearer {held['access_token']}"}, key):
            assert (await auth.get("/users", headers=fresh)).status_code == allowed


async def test_accounts_are_listed_and_found(auth, admin, person):
    """Newest first, by a part of the address, without anything secret."""
    found = (await auth.get("/users", params={"q": person["email"][:20].upper()}, headers=admin["headers"])).json()
    (row,) = found["items"]
    assert row["email"] == person["email"]
    assert set(row) == {"id", "email", "name", "role", "status", "verified", "created_at", "updated_at"}
    assert (await auth.get(f"/users/{row['id']}", headers=admin["headers"])).json() == row
    assert (await auth.get("/users", params={"q": "%"}, headers=admin["headers"])).json()["items"] == []
    page = (await auth.get("/users", params={"limit": 1}, headers=admin["headers"])).json()
    assert page["next_cursor"]
    for nonsense in ("user_" + "0" * 32, "nonsense"):
        assert_problem(await auth.get(f"/users/{nonsense}", headers=admin["headers"]), 404)
        assert_problem(await auth.patch(f"/users/{nonsense}", json={}, headers=admin["headers"]), 404)


@pytest.mark.parametrize("body", [{"email": "x@y.z"}, {"password": "x"}, {"status": "pending"}, {"role": "root"}])
async def test_nothing_else_of_an_account_can_be_set(auth, admin, person, body):
    """Neither address nor password nor anything unknown."""
    place = f"/users/{await id_of(auth, person['headers'])}"
    assert_problem(await auth.patch(place, json=body, headers=admin["headers"]), 422)


async def test_somebody_stays_an_administrator(auth, admin, auth_services, database_url):
    """Two administrators who demote each other at once: one of them stays, and nobody can lock everybody out."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE users SET role = 'user' WHERE email <> %s", [admin["email"]])
    me = await id_of(auth, admin["headers"])
    for change in ({"role": "user"}, {"status": "disabled"}):
        answer = await auth.patch(f"/users/{me}", json=change, headers=admin["headers"])
        assert_problem(answer, 409, "last_admin")
    other = await auth_services.accounts.create_user(f"second-{admin['email']}", "seven green bottles", admin=True)
    answers = await asyncio.gather(
        *(auth.patch(f"/users/{one}", json={"role": "user"}, headers=admin["headers"]) for one in (me, other))
    )
    assert min(answer.status_code for answer in answers) == 200
    with psycopg.connect(database_url) as connection:
        count = connection.execute("SELECT count(*) FROM users WHERE role = 'admin' AND status = 'active'").fetchone()
    assert count == (1,)
