"""What becomes of the tokens of a connection: refreshed once, made again, taken back, revoked, and killed over it."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from uuid import UUID

import pytest

from taske_ray.core.ids import parse_id
from tests.integration.api import conftest as api_conftest
from tests.integration.api.conftest import URL, log_in

pytestmark = pytest.mark.integration
FIELDS = {"token": "a-token-of-ours", "hosts": ["example.com"]}


async def test_a_connection_is_made_again(stand, database):
    """Same id, new tokens, the scopes it had and those that are added; its triggers go on."""
    connection = await stand.connect(capabilities=[f"{stand.module}.read"])
    place = f"/connections/{connection['id']}"
    stand.server.withdraw()
    stand.server.expire()
    assert (await stand.invoke(connection=connection["id"])).status_code == 409
    assert (await stand.api.get(place)).json()["status"] == "needs_reauth"
    task = (await stand.api.post("/tasks", json={"name": "x", "trigger": {"capability": "system.manual"}})).json()
    values = {"id": parse_id("trigger", task["trigger"]["id"]), "connection": parse_id("conn", connection["id"])}
    await database.fetch(
        "UPDATE triggers SET connection_id = %(connection)s, paused_reason = 'x' WHERE id = %(id)s", values
    )
    begun = await stand.begin(module=None, connection=connection["id"], capabilities=[f"{stand.module}.write"])
    assert begun["scopes"] == ["profile", "write", "read"]
    assert (await stand.back(stand.server.consent(begun["authorize_url"]))).status_code == 200
    again = (await stand.api.get(place)).json()
    assert (again["status"], sorted(again["scopes"])) == ("active", ["profile", "read", "write"])
    assert "paused_reason" not in (await stand.api.get(f"/tasks/{task['id']}")).json()["trigger"]
    assert (await stand.invoke("write", connection=connection["id"])).json() == {"name": "ali"}
    assert len((await stand.api.get("/connections")).json()["items"]) == 1


async def test_a_deleted_connection_is_not_made_again(stand):
    """Deleted while its owner was at the provider: it stays deleted."""
    connection = await stand.connect()
    begun = await stand.begin(module=None, connection=connection["id"])
    await stand.api.delete(f"/connections/{connection['id']}")
    refused = await stand.back(stand.server.consent(begun["authorize_url"]))
    assert (refused.status_code, refused.json()["code"]) == (503, "not_found")
    assert (await stand.api.get("/connections")).json()["items"] == []


@pytest.mark.parametrize("late_s", [4000, 100], ids=["known to be over", "refused by the service"])
async def test_fifty_calls_with_an_expired_token_are_one_refresh(stand, process, late_s):
    """The provider sees one refresh, its rotated token is kept, and all fifty calls succeed."""
    connection = await stand.connect()
    stand.server.expire()
    process.late_s = late_s
    found = await asyncio.gather(*(stand.invoke(connection=connection["id"]) for _ in range(50)))
    assert [answer.status_code for answer in found] == [200] * 50, {answer.text for answer in found}
    assert stand.server.asked["refresh_token"] == 1
    assert (await stand.invoke(connection=connection["id"])).status_code == 200
    assert stand.server.asked["refresh_token"] == 1


async def test_a_token_that_is_about_to_end_is_refreshed_before(stand, process):
    """Within five minutes of its end a token is refreshed before it is used: the service never sees an expired one."""
    connection = await stand.connect()
    process.late_s = 3600 - 200
    assert (await stand.invoke(connection=connection["id"])).status_code == 200
    assert stand.server.asked["refresh_token"] == 1


async def test_a_consent_that_is_taken_back(stand, database):
    """One refused refresh, one mail with a link, and from then on nobody asks the provider again."""
    connection = await stand.connect()
    stand.server.withdraw()
    stand.server.expire()
    asked = []
    for _ in range(3):
        answer = await stand.invoke(connection=connection["id"])
        asked.append((answer.status_code, stand.server.asked["refresh_token"]))
    assert asked == [(409, 1)] * 3
    me = stand.server.asked["me"]
    mails = await database.fetch(
        "SELECT * FROM mails WHERE purpose = 'needs_reauth' AND body_text LIKE %(id)s", {"id": f"%{connection['id']}%"}
    )
    assert len(mails) == 1
    assert f"{URL}/reconnect#{connection['id']}" in mails[0]["body_text"]
    await stand.invoke(connection=connection["id"])
    assert stand.server.asked["me"] == me


async def test_tokens_are_revoked_when_a_connection_is_deleted(stand):
    """The provider forgets them; an account that another connection lives on is left alone."""
    one, other = await stand.connect(), await stand.connect()
    await stand.api.delete(f"/connections/{one['id']}")
    assert stand.server.asked["revoked"] == 0
    await stand.api.delete(f"/connections/{other['id']}")
    assert stand.server.asked["revoked"] == 1
    assert all(token.revoked for token in stand.server.tokens[1:])


async def test_a_provider_that_does_not_answer_holds_up_no_deletion(stand):
    """The connection is gone all the same."""
    connection = await stand.connect()
    stand.document["auth"][0]["oauth"]["revoke_url"] = f"{stand.server.url}/nothing"
    await stand.api.put(f"/admin/modules/{stand.module}", json=stand.document, headers=stand.admin)
    assert (await stand.api.delete(f"/connections/{connection['id']}")).status_code == 204
    assert (await stand.api.get(f"/connections/{connection['id']}")).status_code == 404


async def leave(auth, stand):
    """Delete the account; its tokens and how often the provider was told."""
    answer = await auth.delete("/me", headers={"authorization": stand.api.headers["authorization"]})
    assert answer.status_code == 204, answer.text
    return stand.server.tokens, stand.server.asked["revoked"]


async def test_tokens_are_revoked_when_an_account_is_deleted(stand, auth, database):
    """The provider forgets all of them, also two of one account, before the keys go; the audit says how many did."""
    for _ in range(2):
        await stand.connect()
    await stand.api.post("/connections", json={"module": "http", "auth": "bearer", "name": "n", "fields": FIELDS})
    tokens, revoked = await leave(auth, stand)
    assert ([bool(token.revoked) for token in tokens], revoked) == ([True, True], 2)
    acts = await database.fetch("SELECT detail FROM audit WHERE action = 'account.delete' ORDER BY at DESC LIMIT 1")
    assert acts[0]["detail"]["revoked"] == 2
    assert await database.fetch("SELECT FROM connections WHERE module = %(m)s", {"m": stand.module}) == []


async def test_somebody_elses_account_at_the_provider_is_left_alone(stand, auth, auth_services):
    """Where another user's connection may live on the same account, leaving does not end it."""
    await stand.connect()
    other = await log_in(auth, auth_services)
    mine = dict(stand.api.headers)
    stand.api.headers.update(other["headers"])
    await stand.connect()
    _, revoked = await leave(auth, stand)
    assert revoked == 0
    stand.api.headers.update(mine)
    assert (await stand.invoke(connection=(await stand.api.get("/connections")).json()["items"][0]["id"])).is_success


@pytest.mark.parametrize("trouble", ["silent", "broken", "nobody"])
async def test_no_provider_keeps_an_account(stand, auth, process, monkeypatch, trouble):
    """One that does not answer, a revocation that breaks, no process to ask: the account is gone all the same, soon."""
    await stand.connect()
    if trouble == "silent":
        process.patience_s = 0.2
        stand.document["auth"][0]["oauth"]["revoke_url"] = f"{stand.server.url}/token"
        await stand.api.put(f"/admin/modules/{stand.module}", json=stand.document, headers=stand.admin)
        stand.server.gate.clear()
    elif trouble == "broken":
        monkeypatch.setattr(process._connector, "revoke", None)
    else:
        await process.close()
    began = time.monotonic()
    await leave(auth, stand)
    assert time.monotonic() - began < 6
    stand.server.gate.set()


async def test_missing_scopes_are_found_before_anything_runs(stand):
    """Saving a task and invoking name what has to be added; asked for and granted, both go through."""
    connection = await stand.connect(capabilities=[])
    assert connection["scopes"] == ["profile"]
    task = {"name": "x", "trigger": {"capability": "system.manual"}}
    task["actions"] = [{"capability": f"{stand.module}.read", "connection": connection["id"]}]
    refused = await stand.api.post("/tasks", json=task)
    (error,) = refused.json()["errors"]
    assert (error["pointer"], error["code"]) == ("/actions/0/connection", "missing_scopes")
    assert error["message"].endswith(": read")
    assert (await stand.invoke(connection=connection["id"])).json()["errors"][0]["code"] == "missing_scopes"
    begun = await stand.begin(module=None, connection=connection["id"], capabilities=[f"{stand.module}.read"])
    await stand.back(stand.server.consent(begun["authorize_url"]))
    assert (await stand.api.post("/tasks", json=task)).status_code == 201
    assert (await stand.invoke(connection=connection["id"])).status_code == 200


@pytest.mark.parametrize(
    ("server", "status", "codes"),
    [(False, "active", [200] * 3), (True, "needs_reauth", [409] * 3)],
    indirect=["server"],
    ids=["the old token still works", "the provider rotates"],
)
async def test_killed_with_new_tokens_in_hand(stand, process, database, database_url, tmp_path, status, codes):
    """C15: killed between answer and store; the next process asks once more: it works, or its owner is told once."""
    connection = await stand.connect()
    wanted = parse_id("conn", connection["id"])
    (row,) = await database.fetch("SELECT user_id FROM connections WHERE id = %(id)s", {"id": wanted})
    (tmp_path / "C15").write_text("KILL")
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.refresh_and_die",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TASKE_CRASH_DIR": str(tmp_path)},
        cwd=Path(__file__).parents[4],
    )
    given = {"database_url": database_url, "master": api_conftest._master.hex()}
    given |= {"user": str(row["user_id"]), "connection": str(wanted)}
    said, _ = await child.communicate(json.dumps(given).encode())
    assert (child.returncode, stand.server.asked["refresh_token"]) == (-signal.SIGKILL, 1)
    # what a neighbour writes who sees that the process is gone
    await database.fetch("UPDATE hosts SET state = 'crashed' WHERE id = %(id)s", {"id": UUID(said.decode().strip())})
    process.late_s = 4000
    assert [(await stand.invoke(connection=connection["id"])).status_code for _ in codes] == codes
    assert stand.server.asked["refresh_token"] == 2
    assert (await stand.api.get(f"/connections/{connection['id']}")).json()["status"] == status
    told = "SELECT 1 FROM mails WHERE purpose = 'needs_reauth' AND body_text LIKE %(id)s"
    mails = await database.fetch(told, {"id": f"%{connection['id']}%"})
    assert len(mails) == (status == "needs_reauth")
