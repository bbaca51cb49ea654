"""After a theft a session may do nothing until its user has another password (security, 5.4), on every operation."""

import re

import pytest

from deployments.console.app import document
from tests.integration.api.test_auth_api import PASSWORD, assert_problem
from tests.integration.api.test_protection_api import bearer, newest_mail

pytestmark = pytest.mark.integration
NEW = "nine blue bottles on a wall"
OPEN = {("GET", "/auth/me"), ("POST", "/auth/password"), ("POST", "/auth/reauthenticate"), ("POST", "/auth/logout")}
GUARDED = {
    (method.upper(), path)
    for path, operations in document("http://taske.test")["paths"].items()
    for method, operation in operations.items()
    if path.startswith(("/auth", "/api/v1")) and operation["x-permission"] != "public"
}
assert GUARDED > OPEN


@pytest.fixture
async def rescued(auth, admin, database):
    """An administrator, so that no role refuses, whose session was stolen, and who is in again with a mailed code.

    With a key that another session of theirs made.
    """
    login = {"email": admin["email"], "password": PASSWORD}
    made = await auth.post("/api-keys", json={"name": "k"}, headers=admin["headers"])
    stolen = (await auth.post("/login", json=login)).json()["refresh_token"]
    for token in [(await auth.post("/refresh", json={"refresh_token": stolen})).json()["refresh_token"], stolen]:
        last = await auth.post("/refresh", json={"refresh_token": token})
    assert_problem(last, 401)
    due = (await auth.post("/login", json=login)).json()["second_factor"]
    code = re.search(r"^\d{8}$", (await newest_mail(database, admin["email"], "login_code")).body_text, re.MULTILINE)
    tokens = (await auth.post("/login/second-factor", json={"challenge": due["challenge"], "code": code[0]})).json()
    assert tokens["password_change_required"]
    return {"email": admin["email"], "tokens": tokens, "key": {"authorization": f"Bearer {made.json()['key']}"}}


@pytest.fixture
def closed(auth, api):
    """Call it with headers: the operations that ask these for a new password first; `reading`: of those that read."""

    async def ask(headers, *, reading=False):
        found = set()
        for method, path in sorted(GUARDED - {("POST", "/auth/logout")}):  # which would end what is tried
            if reading and method != "GET":
                continue
            client, prefix = (auth, "/auth") if path.startswith("/auth") else (api, "/api/v1")
            answer = await client.request(method, path.removeprefix(prefix), headers=headers)
            if answer.status_code == 403 and answer.json()["code"] == "password_change_required":
                found.add((method, path))
        return found

    return ask


async def test_nothing_else_is_open_before_there_is_another_password(auth, rescued, closed):
    """403 on every operation but a handful; the refreshed session is no better, and keys of other sessions go on."""
    assert await closed(bearer(rescued["tokens"])) == GUARDED - OPEN
    again = (await auth.post("/refresh", json={"refresh_token": rescued["tokens"]["refresh_token"]})).json()
    assert again["password_change_required"]
    assert await closed(bearer(again)) == GUARDED - OPEN
    assert await closed(rescued["key"]) == set()
    assert (await auth.get("/me", headers=bearer(again))).json()["password_change_required"]
    assert (await auth.post("/logout", json={}, headers=bearer(again))).status_code == 204


async def test_a_change_opens_everything(auth, rescued, closed):
    """The old password is not a new one; another one opens all, and the next login has nothing left to ask."""
    headers = bearer(rescued["tokens"])
    same = assert_problem(await auth.post("/password", json={"password": PASSWORD}, headers=headers), 422)
    assert [(one["pointer"], one["code"]) for one in same["errors"]] == [("/password", "not_new")]
    changed = (await auth.post("/password", json={"password": NEW}, headers=headers)).json()
    assert not changed["password_change_required"]
    assert await closed(bearer(changed), reading=True) == set()
    tokens = (await auth.post("/login", json={"email": rescued["email"], "password": NEW})).json()
    assert not tokens["password_change_required"]


async def test_a_reset_opens_everything(auth, rescued, closed, database):
    """Who cannot prove a password chooses one by mail: also another one than before."""
    await auth.post("/password/forgot", json={"email": rescued["email"]})
    token = re.search(r"#token=([\w-]+)", (await newest_mail(database, rescued["email"], "reset")).body_text)[1]
    same = assert_problem(await auth.post("/password/reset", json={"token": token, "password": PASSWORD}), 422)
    assert same["errors"][0]["code"] == "not_new"
    assert (await auth.post("/password/reset", json={"token": token, "password": NEW})).status_code == 204
    tokens = (await auth.post("/login", json={"email": rescued["email"], "password": NEW})).json()
    assert await closed(bearer(tokens), reading=True) == set()


async def test_an_older_login_proves_itself_first(auth, rescued, database):
    """After ten minutes the change asks for the old password again, and that is open, too."""
    async with database.transaction() as tx:
        connection = await tx.connection()
        await connection.exec_driver_sql("UPDATE sessions SET authenticated_at = now() - interval '1 day'")
    headers = bearer(rescued["tokens"])
    refused = await auth.post("/password", json={"password": NEW}, headers=headers)
    assert_problem(refused, 403, "reauthentication_required")
    assert (await auth.post("/reauthenticate", json={"password": PASSWORD}, headers=headers)).status_code == 204
    assert (await auth.post("/password", json={"password": NEW}, headers=headers)).status_code == 200
