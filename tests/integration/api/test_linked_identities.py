"""The logins at providers that open an account: listed, and taken off by their owner."""

import asyncio

import pytest

from taske_ray.clock import new_id
from taske_ray.core.ids import format_id, parse_id
from tests.integration.api.test_auth_api import PASSWORD, assert_problem
from tests.integration.api.test_protection_api import bearer, newest_mail

pytestmark = pytest.mark.integration


@pytest.fixture
def providers():
    """The names of two; nobody logs in with them here."""
    return dict.fromkeys(("corp", "github"))


@pytest.fixture
async def linked(auth, person, database):
    """Call it with the name of a provider: the id of a login there that opens the person's account."""
    user = parse_id("user", (await auth.get("/me", headers=person["headers"])).json()["id"])

    async def link(provider):
        values = {"id": new_id(), "user": user, "provider": provider, "email": person["email"]}
        await database.fetch(
            "INSERT INTO identities (issuer, subject, id, user_id, provider, email)"
            " VALUES ('https://id.example.com', %(id)s::text, %(id)s, %(user)s, %(provider)s, %(email)s)",
            values,
        )
        return format_id("identity", values["id"])

    return link


@pytest.fixture
def sql(database, person):
    """Call it with a statement about the person: `%(email)s` is theirs."""
    return lambda statement: database.fetch(statement, {"email": person["email"]})


async def test_they_are_listed_by_page_newest_first(auth, person, linked):
    """Name, address and times, and nothing that the provider keeps for itself."""
    ids = [await linked(provider) for provider in ("corp", "github", "corp")]
    found, cursor = [], None
    while cursor or not found:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await auth.get("/identities", params=params, headers=person["headers"])).json()
        found += page["items"]
        cursor = page["next_cursor"]
    assert [one["id"] for one in found] == ids[::-1]
    assert found[0].keys() == {"id", "provider", "email", "created_at", "last_used_at"}


async def test_taking_one_off_ends_what_was_begun_with_it(auth, person, linked, database):
    """Sessions of that provider die, the acting one and others live; it is on record, and a mail lets one object."""
    wanted, kept = await linked("corp"), await linked("github")
    login = {"email": person["email"], "password": PASSWORD}
    theirs, ours, other = [(await auth.post("/login", json=login)).json() for _ in range(3)]
    sessions = (await auth.get("/sessions", headers=bearer(ours))).json()["items"]
    for tokens in (theirs, ours):
        me = (await auth.get("/sessions", headers=bearer(tokens))).json()["items"]
        mine = parse_id("session", next(one["id"] for one in me if one["current"]))
        await database.fetch("UPDATE sessions SET method = 'corp' WHERE id = %(id)s", {"id": mine})
    assert len(sessions) == 4
    assert (await auth.delete(f"/identities/{wanted}", headers=bearer(ours))).status_code == 204
    assert_problem(await auth.get("/me", headers=bearer(theirs)), 401)
    for alive in (ours, other):
        assert (await auth.get("/me", headers=bearer(alive))).status_code == 200
    left = (await auth.get("/identities", headers=bearer(ours))).json()["items"]
    assert [one["id"] for one in left] == [kept]
    assert_problem(await auth.delete(f"/identities/{wanted}", headers=bearer(ours)), 404)
    acts = (await auth.get("/audit", params={"action": "identity.unlink"}, headers=bearer(ours))).json()["items"]
    assert [(act["object"], act["detail"]) for act in acts] == [(wanted, {"provider": "corp"})]
    mail = await newest_mail(database, person["email"], "unlinked")
    token = mail.body_text.partition("#token=")[2].split()[0]
    assert (await auth.post("/not-me", json={"token": token})).status_code == 204
    assert_problem(await auth.get("/me", headers=bearer(ours)), 401)


async def test_the_last_way_in_stays(auth, person, linked, sql):
    """Without a password one usable provider is left, however many ask at once; with a password all may go."""
    first, second, gone = await linked("corp"), await linked("github"), await linked("long-gone")
    (kept,) = await sql("SELECT password_hash FROM users WHERE email = %(email)s")
    await sql("UPDATE users SET password_hash = NULL WHERE email = %(email)s")
    answers = await asyncio.gather(
        *(auth.delete(f"/identities/{one}", headers=person["headers"]) for one in (first, second))
    )
    assert sorted(answer.status_code for answer in answers) == [204, 409]
    (left,) = [one for one, answer in zip((first, second), answers, strict=True) if answer.status_code == 409]
    assert_problem(await auth.delete(f"/identities/{left}", headers=person["headers"]), 409, "last_way_in")
    assert (await auth.delete(f"/identities/{gone}", headers=person["headers"])).status_code == 204
    await sql(f"UPDATE users SET password_hash = '{kept['password_hash']}' WHERE email = %(email)s")
    assert (await auth.delete(f"/identities/{left}", headers=person["headers"])).status_code == 204


async def test_an_older_login_and_a_key_may_not(auth, person, linked, sql):
    """A stolen session is not the account, and no key manages how one logs in."""
    one = await linked("corp")
    key = (await auth.post("/api-keys", json={"name": "k"}, headers=person["headers"])).json()["key"]
    refused = await auth.delete(f"/identities/{one}", headers={"authorization": f"Bearer {key}"})
    assert_problem(refused, 403, "session_required")
    await sql(
        "UPDATE sessions SET authenticated_at = now() - interval '1 day'"
        " WHERE user_id = (SELECT id FROM users WHERE email = %(email)s)"
    )
    refused = await auth.delete(f"/identities/{one}", headers=person["headers"])
    assert_problem(refused, 403, "reauthentication_required")
    assert len((await auth.get("/identities", headers=person["headers"])).json()["items"]) == 1
