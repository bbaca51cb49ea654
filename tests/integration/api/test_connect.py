"""Connections by consent, end to end against an OAuth server that nobody here wrote: begin, come back, use, end."""

import asyncio
import hashlib
import json
import os
import re
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
from joserfc import jwk

from deployments.task_api.app import create_app as task_app
from taske_ray.bootstrap import task_services as services_of_tasks
from taske_ray.catalog.registry import load_documents
from taske_ray.core.ids import parse_id
from taske_ray.limits import profiles
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.modules import Modules
from tests.integration.api import conftest as api_conftest
from tests.integration.api.conftest import URL, log_in
from tests.integration.authorization_server import authorization_server
from tests.integration.in_process import InProcess

pytestmark = pytest.mark.integration
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # the server runs on loopback without TLS
REDIRECT = f"{URL}/api/v1/connections/callback"
CLIENT = {"client_id": "the-client", "client_secret": "the-client-s3cret"}
FIELDS = {"token": "a-token-of-ours", "hosts": ["example.com"]}
BROWSER = {"origin": URL, "accept": "text/html"}


@pytest.fixture
async def process(engine_database, keyring):
    found = await InProcess(engine_database, keyring, url=URL).open()
    yield found
    await found.close()


@pytest.fixture
async def catalog(database):
    """As much of the shipped catalog as these tests name."""
    few = [document for document in load_documents() if document["module"] in ("http", "slack", "system")]
    await Modules(database, CapabilityCache(database)).sync_catalog(few)


@pytest.fixture
def calls(process):
    return process


@pytest.fixture
def consents(process):
    return process


@pytest.fixture
def farewells(process):
    return process


@pytest.fixture
def server(request):
    with authorization_server(REDIRECT, rotate=getattr(request, "param", True)) as found:
        yield found


def shop(server, **auth):
    """A module whose service is the server's."""
    host = urlsplit(server.url).netloc
    scheme = {
        "id": "oauth",
        "type": "oauth2_code",
        "oauth": {
            "authorize_url": f"{server.url}/authorize",
            "token_url": f"{server.url}/token",
            "revoke_url": f"{server.url}/revoke",
            "base_scopes": ["profile"],
            "save": {"team_id": "{{ response.body.team.id }}"},
        },
        "test": {"path": "/me"},
        "label": "{{ response.body.name }} of {{ conn.config.team_id }}",
        **auth,
    }
    output = {"output": {"name": "{{ response.body.name }}"}}
    return {
        "module": f"shop{host.rpartition(':')[2]}",
        "name": "Shop",
        "base_url": server.url,
        "allowed_hosts": [host],
        "auth": [scheme],
        "capabilities": [
            {"capability": f"shop{host.rpartition(':')[2]}.{name}", "kind": "action", "name": name, "scopes": [name]}
            | {"request": {"path": "/me"}, "response": output}
            for name in ("read", "write")
        ],
    }


class Stand:
    """What the tests do: a user's client of the API, an administrator's headers, and the provider."""

    def __init__(self, api, admin, server, document):
        self.api, self.admin, self.server, self.document = api, admin["headers"], server, document
        self.module = document["module"]

    async def begin(self, **body):
        """Begin a consent that must be possible."""
        headers = body.pop("headers", {})
        answer = await self.api.post("/connections/authorize", json={"module": self.module, **body}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def connect(self, **body):
        """A connection that was made, as the API shows it."""
        begun = await self.begin(**body)
        answer = await self.back(self.server.consent(begun["authorize_url"]))
        assert answer.status_code == 200, answer.text
        return (await self.api.get(f"/connections/{begun['connection']}")).json()

    async def back(self, location, **headers):
        """The browser comes back: without a login, as a program unless `headers` say otherwise."""
        assert location.startswith(REDIRECT), location
        self.api.cookies.clear()
        return await self.api.get(location, headers={"authorization": "", **headers})

    async def invoke(self, name="read", **body):
        """Invoke a capability of the module."""
        return await self.api.post(f"/capabilities/{self.module}.{name}/invoke", json=body)


@pytest.fixture
async def stand(mina, admin, server):
    document = shop(server)
    found = Stand(mina, admin, server, document)
    answer = await mina.put(f"/admin/modules/{found.module}", json=document, headers=found.admin)
    assert answer.status_code == 200, answer.text
    answer = await mina.put(f"/admin/oauth-clients/{found.module}/oauth", json=CLIENT, headers=found.admin)
    assert answer.status_code == 200, answer.text
    return found


async def dump(database):
    """Everything in the database, as bytes."""
    tables = await database.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    rows = [await database.fetch(f"SELECT * FROM {one['relname']}") for one in tables]
    return b"".join(
        bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for t in rows for r in t for v in r.values()
    )


async def test_a_user_connects(stand, database):
    """Sent to the provider with state and challenge; back with a code, the connection is there, named, and works."""
    begun = await stand.begin(name="My shop", capabilities=[f"{stand.module}.read"])
    asked = stand.server.query_of(begun["authorize_url"])
    assert (asked["client_id"], asked["redirect_uri"], asked["scope"]) == ("the-client", REDIRECT, "profile read")
    assert (asked["response_type"], asked["code_challenge_method"], len(asked["state"])) == ("code", "S256", 43)
    assert (begun["status"], begun["redirect_uri"]) == ("pending", REDIRECT)
    assert (await stand.api.get(f"/connections/{begun['connection']}")).status_code == 404
    location = stand.server.consent(begun["authorize_url"])
    made = await stand.back(location)
    assert made.status_code == 200, made.text
    assert (made.json()["label"], made.json()["connection"]) == ("ali of T1", begun["connection"])
    connection = (await stand.api.get(f"/connections/{begun['connection']}")).json()
    assert (connection["name"], connection["label"], connection["status"]) == ("My shop", "ali of T1", "active")
    assert (connection["scopes"], connection["fields"]) == (["profile", "read"], {"team_id": "T1"})
    assert (await stand.api.get(f"/connections/authorizations/{begun['id']}")).json()["status"] == "succeeded"
    assert (await stand.invoke(connection=begun["connection"])).json() == {"name": "ali"}
    (token,) = stand.server.tokens
    secrets = [
        token.access_token,
        token.refresh_token,
        stand.server.query_of(location)["code"],
        CLIENT["client_secret"],
    ]
    everything = await dump(database)
    assert not [secret for secret in secrets if secret.encode() in everything]
    assert (await stand.api.post(f"/connections/{begun['connection']}/test")).json()["label"] == "ali of T1"


async def test_a_users_own_client(stand):
    """A client that the user brings goes before the instance's; it is kept with the connection and refreshes it."""
    await stand.api.delete(f"/admin/oauth-clients/{stand.module}/oauth", headers=stand.admin)
    refused = await stand.api.post("/connections/authorize", json={"module": stand.module})
    assert [(e["pointer"], e["code"]) for e in refused.json()["errors"]] == [("/fields/client_id", "missing")]
    connection = await stand.connect(fields=CLIENT)
    assert connection["fields"] == {"client_id": "the-client", "client_secret": "••••cret", "team_id": "T1"}
    stand.server.expire()
    assert (await stand.invoke(connection=connection["id"])).json() == {"name": "ali"}
    again = await stand.begin(module=None, connection=connection["id"])
    assert (await stand.back(stand.server.consent(again["authorize_url"]))).status_code == 200


@pytest.mark.parametrize("change", [{"state": "x" * 43}, {"state": None}, {}])
async def test_a_state_is_good_once(stand, change):
    """An unknown or missing state, and one that was used, are the same refusal; no code is exchanged."""
    begun = await stand.begin()
    location = stand.server.consent(begun["authorize_url"])
    params = stand.server.query_of(location)
    if not change:
        assert (await stand.back(location)).status_code == 200
    params = {name: value for name, value in {**params, **change}.items() if value is not None}
    before = stand.server.asked["authorization_code"]
    refused = await stand.back(str(httpx.URL(REDIRECT, params=params)))
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_state")
    assert stand.server.asked["authorization_code"] == before


async def test_a_state_ends_after_ten_minutes(stand, database):
    """Late is too late, and the authorization says so."""
    begun = await stand.begin()
    late = "expires_at = clock_timestamp() - interval '1 s'"
    await database.fetch(f"UPDATE authorization_states SET {late}")
    await database.fetch(f"UPDATE connection_authorizations SET {late}")
    assert (await stand.back(stand.server.consent(begun["authorize_url"]))).json()["code"] == "bad_state"
    assert (await stand.api.get(f"/connections/authorizations/{begun['id']}")).json()["status"] == "expired"


async def test_a_browser_that_began_must_come_back(stand):
    """What a browser begins, it ends: with its cookie and no other; it goes on to where it was on the way to."""
    answer = await stand.api.post(
        "/connections/authorize", json={"module": stand.module, "return_to": "/docs?x=1"}, headers={"origin": URL}
    )
    cookie = answer.cookies["taske_browser"]
    assert re.search(r"HttpOnly.*SameSite=lax", answer.headers["set-cookie"])
    location = stand.server.consent(answer.json()["authorize_url"])
    for other in ({}, {"cookie": f"taske_browser={'y' * 43}"}):
        assert (await stand.back(location, **other)).json()["code"] == "bad_state"
    arrived = await stand.back(location, cookie=f"taske_browser={cookie}", **BROWSER)
    assert (arrived.status_code, arrived.headers["location"]) == (
        303,
        f"/docs?x=1&connection={answer.json()['connection']}",
    )


async def test_what_a_browser_sees(stand):
    """A page that says what was connected, or why nothing was; never JSON, never the provider's words as HTML."""
    begun = await stand.begin()
    stand.server.user = "<b>ali</b>"
    done = await stand.back(stand.server.consent(begun["authorize_url"]), accept="text/html")
    assert done.headers["content-type"].startswith("text/html")
    assert "&lt;b&gt;ali&lt;/b&gt; of T1" in done.text
    begun = await stand.begin()
    state = stand.server.query_of(begun["authorize_url"])["state"]
    denied = {"state": state, "error": "access_denied", "error_description": "<script>no</script>"}
    refused = await stand.back(str(httpx.URL(REDIRECT, params=denied)), accept="text/html")
    assert (refused.status_code, "<script>" in refused.text) == (409, False)
    assert "default-src 'none'" in refused.headers["content-security-policy"]


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "docs"])
async def test_only_paths_of_ours_are_gone_on_to(stand, target):
    """Another origin is no place to go on to."""
    refused = await stand.api.post("/connections/authorize", json={"module": stand.module, "return_to": target})
    assert refused.status_code == 422


async def test_where_strangers_have_accounts_a_browser_is_asked(
    settings, api_database, keyring, ports, store, stand, appearance
):
    """In the public profile a consent that a program began needs a button, which names whose connection it becomes."""
    services = services_of_tasks(replace(settings, limits=profiles["public"]), api_database, keyring, ports, store)
    transport = httpx.ASGITransport(app=task_app(services, appearance), root_path="/api/v1")
    async with httpx.AsyncClient(transport=transport, base_url=f"{URL}/api/v1", headers=stand.api.headers) as careful:
        stand.api = careful
        begun = await stand.begin()
        location = stand.server.consent(begun["authorize_url"])
        for _ in range(2):
            asked = await stand.back(location, accept="text/html")
            assert (asked.status_code, stand.server.asked["authorization_code"]) == (200, 0)
            assert re.search(r"Connect shop\d+ to \w\w•••@example.com", asked.text)
        inputs = dict(re.findall(r'name="(\w+)" value="([^"]*)"', asked.text))
        done = await stand.back(str(httpx.URL(REDIRECT, params=inputs)))
        assert done.status_code == 200, done.text
        assert (await careful.get(f"/connections/{begun['connection']}")).json()["label"] == "ali of T1"


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"error": "access_denied", "code": None}, 409, "access_denied"),
        ({"error": "server_error", "error_description": "Oops", "code": None}, 409, "provider_refused"),
        ({"code": None}, 422, "invalid"),
        ({"iss": "https://evil.example"}, 422, "invalid"),
        ({"code": "a-made-up-code"}, 409, "token_refused"),
    ],
)
async def test_a_consent_that_comes_to_nothing(stand, more, status, code):
    """Denied, broken, from another provider, or a code that is none: no connection, and whoever began can see why."""
    begun = await stand.begin()
    params = {**stand.server.query_of(stand.server.consent(begun["authorize_url"])), **more}
    params = {name: value for name, value in params.items() if value is not None}
    refused = await stand.back(str(httpx.URL(REDIRECT, params=params)))
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    told = (await stand.api.get(f"/connections/authorizations/{begun['id']}")).json()
    assert (told["status"], bool(told["error"]["message"])) == ("failed", True)
    assert (await stand.api.get("/connections")).json()["items"] == []
    assert "a-made-up-code" not in refused.text + str(told)


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "application/json", b"{}"),
        (200, "application/json", b'{"access_token": ["x"]}'),
        (200, "text/html", b"<html>Please log in</html>"),
        (200, "application/json", b'{"access_token": "' + b"x" * 2_000_000 + b'"}'),
        (500, "text/html", b"<html>Oops</html>"),
        (302, "text/html", b""),
    ],
    ids=["no token", "wrong type", "html", "huge", "500", "redirect"],
)
async def test_hostile_answers_of_a_token_endpoint(stand, status, kind, body):
    """Whatever a token endpoint says, it ends in a refusal without a trace of the code, and nothing is made."""
    begun = await stand.begin()
    stand.server.instead = [(status, kind, body)]
    location = stand.server.consent(begun["authorize_url"])
    refused = await stand.back(location)
    assert refused.status_code in (409, 503), refused.text
    assert stand.server.query_of(location)["code"] not in refused.text
    assert (await stand.api.get("/connections")).json()["items"] == []


async def test_bad_wishes_have_pointers(stand):
    """What is wrong with a wish is named by its field."""
    made = (
        await stand.api.post(
            "/connections",
            json={"module": "slack", "auth": "bot_token", "name": "S", "fields": {"token": "xoxb-0123456789abcdef"}},
        )
    ).json()
    cases = [
        ({"module": "nothing"}, "/module"),
        ({}, "/module"),
        ({"module": stand.module, "connection": made["id"]}, "/module"),
        ({"connection": "conn_" + "0" * 32}, "/connection"),
        ({"connection": made["id"]}, "/auth"),
        ({"module": stand.module, "auth": "nothing"}, "/auth"),
        ({"module": "slack", "auth": "bot_token"}, "/auth"),
        ({"module": "http"}, "/auth"),
        ({"module": stand.module, "capabilities": ["slack.chat.post_message"]}, "/capabilities/0"),
        ({"module": stand.module, "fields": {"colour": 1}}, "/fields/colour"),
        ({"module": stand.module, "colour": 1}, "/colour"),
        ({"module": stand.module, "scopes": [""]}, "/scopes/0"),
    ]
    for body, pointer in cases:
        answer = await stand.api.post("/connections/authorize", json=body)
        assert answer.status_code == 422, (body, answer.text)
        assert pointer in {one["pointer"] for one in answer.json()["errors"]}, (body, answer.json())


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


async def test_parameters_of_a_consent_that_are_secret(stand, database):
    """What a provider wants in the address of its page is put there where secrets are opened, for old and new ones."""
    scheme = stand.document["auth"][0]
    scheme["fields"] = {"type": "object", "properties": {"pin": {"type": "string", "x-secret": True}}}
    params = {"pin": "{{ conn.secret.pin | int }}", "by": "{{ app.client_secret | sha256 }}"}
    scheme["oauth"]["authorize_params"] = params
    await stand.api.put(f"/admin/modules/{stand.module}", json=stand.document, headers=stand.admin)
    connection = await stand.connect(fields={"pin": "1234567890"})
    again = await stand.begin(module=None, connection=connection["id"])
    asked = stand.server.query_of(again["authorize_url"])
    assert (asked["pin"], asked["redirect_uri"]) == ("1234567890", REDIRECT)
    assert asked["by"] == hashlib.sha256(CLIENT["client_secret"].encode()).hexdigest()
    assert (await stand.back(stand.server.consent(again["authorize_url"]))).status_code == 200
    assert b"1234567890" not in await dump(database)
    wish = {"module": stand.module, "fields": {"pin": "no number"}}
    refused = await stand.api.post("/connections/authorize", json=wish)
    assert (refused.status_code, refused.json()["code"]) == (409, "filter_error")
    assert "no number" not in refused.text


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


async def test_nobody_elses_authorization_is_seen(stand, auth, auth_services):
    """An authorization of somebody else, and a connection of theirs, are unknown."""
    begun, connection = await stand.begin(), await stand.connect()
    thief = await log_in(auth, auth_services)
    for path in (begun["id"], "authorization_" + "0" * 32, "nonsense"):
        answer = await stand.api.get(f"/connections/authorizations/{path}", headers=thief["headers"])
        assert answer.status_code == 404
    body = {"connection": connection["id"]}
    answer = await stand.api.post("/connections/authorize", json=body, headers=thief["headers"])
    assert answer.json()["errors"][0]["code"] == "unknown_connection"


async def test_oauth_clients_are_an_administrators(stand):
    """Others may not look at them; the secret is shown to nobody; a scheme that takes none is refused."""
    place = f"/admin/oauth-clients/{stand.module}/oauth"
    for method, path in (("GET", "/admin/oauth-clients"), ("GET", place), ("PUT", place), ("DELETE", place)):
        answer = await stand.api.request(method, path, json=CLIENT if method == "PUT" else None)
        assert (answer.status_code, answer.json()["code"]) == (403, "admin_required")
    shown = (await stand.api.get(place, headers=stand.admin)).json()
    assert (shown["client_id"], shown["client_secret"], shown["redirect_uri"]) == ("the-client", "••••cret", REDIRECT)
    listed = (await stand.api.get("/admin/oauth-clients", headers=stand.admin)).json()["items"]
    assert shown in listed
    for scheme, status in (("slack/bot_token", 422), ("slack/nothing", 404), ("nothing/oauth", 404)):
        answer = await stand.api.put(f"/admin/oauth-clients/{scheme}", json=CLIENT, headers=stand.admin)
        assert answer.status_code == status, answer.text
    assert (await stand.api.delete(place, headers=stand.admin)).status_code == 204
    assert (await stand.api.get(place, headers=stand.admin)).status_code == 404


async def save(stand, scheme, module):
    """A module with another scheme in place of OAuth's code flow."""
    document = {**stand.document, "module": module, "auth": [{"test": {"path": "/me"}, **scheme}]}
    document["capabilities"] = [
        {**one, "capability": f"{module}.{one['scopes'][0]}", "scopes": []} for one in document["capabilities"]
    ]
    answer = await stand.api.put(f"/admin/modules/{module}", json=document, headers=stand.admin)
    assert answer.status_code == 200, answer.text
    stand.module = module


async def test_a_robot_gets_its_own_tokens(stand, process):
    """Client credentials: made from fields, a token at the first call, one for fifty, and another when it is over."""
    oauth = {"token_url": f"{stand.server.url}/token", "base_scopes": ["read"]}
    await save(stand, {"id": "robot", "type": "oauth2_client_credentials", "oauth": oauth}, "robots")
    made = await stand.api.post("/connections", json={"module": "robots", "auth": "robot", "name": "R"})
    assert made.json()["errors"][0]["pointer"] == "/fields/client_id"
    body = {"module": "robots", "auth": "robot", "name": "R", "fields": CLIENT}
    connection = (await stand.api.post("/connections", json=body)).json()["id"]
    found = await asyncio.gather(*(stand.invoke(connection=connection) for _ in range(50)))
    assert {answer.text for answer in found} == {'{"name":"robot"}'}
    assert stand.server.asked["client_credentials"] == 1
    process.late_s = 3600
    await stand.invoke(connection=connection)
    assert stand.server.asked["client_credentials"] == 2
    stand.server.client.client_secret = "another"
    process.late_s = 7200
    assert (await stand.invoke(connection=connection)).status_code == 409
    place = f"/connections/{connection}"
    assert (await stand.api.get(place)).json()["status"] == "needs_reauth"
    fields = {"client_id": "the-client", "client_secret": "another"}
    assert (await stand.api.patch(place, json={"fields": fields})).json()["status"] == "active"
    assert (await stand.invoke(connection=connection)).json() == {"name": "robot"}


async def test_a_service_account_signs_in(stand):
    """A signed assertion (RFC 7523) that Authlib checks: signature, issuer, audience, times; a wrong key is refused."""
    right, wrong = jwk.generate_key("RSA", 2048), jwk.generate_key("RSA", 2048)
    stand.server.client.key = right
    fields = {"key": {"type": "string", "x-secret": True}}
    claims = {"iss": "the-client", "sub": "robot", "aud": f"{stand.server.url}/token"}
    jwt = {"key": "{{ conn.secret.key }}", "claims": claims, "token_url": f"{stand.server.url}/token"}
    scheme = {"id": "account", "type": "jwt_bearer", "fields": {"type": "object", "properties": fields}, "jwt": jwt}
    await save(stand, scheme, "accounts")
    statuses = []
    for key in (right, wrong):
        body = {
            "module": "accounts",
            "auth": "account",
            "name": "A",
            "fields": {"key": key.as_pem(private=True).decode()},
        }
        connection = (await stand.api.post("/connections", json=body)).json()["id"]
        statuses.append((await stand.invoke(connection=connection)).status_code)
    assert statuses == [200, 409]


async def test_a_connection_of_the_instance(stand, auth, auth_services):
    """An administrator stores it; everybody's tasks use it without a name; nobody else can see it or make one."""
    fields = {"type": "object", "required": ["token"], "properties": {"token": {"type": "string", "x-secret": True}}}
    scheme = {"id": "shared", "type": "bearer", "owner": "instance", "fields": fields}
    await save(stand, scheme, "weather")
    task = {"name": "x", "trigger": {"capability": "system.manual"}, "actions": [{"capability": "weather.read"}]}
    refused = (await stand.api.post("/tasks", json=task)).json()["errors"][0]
    assert (refused["pointer"], refused["code"]) == ("/actions/0/connection", "connection_required")
    oauth_module, stand.module = stand.module, stand.document["module"]
    await stand.connect()
    stand.module = oauth_module
    body = {
        "module": "weather",
        "auth": "shared",
        "name": "W",
        "fields": {"token": stand.server.tokens[-1].access_token},
    }
    assert (await stand.api.post("/connections", json=body)).json()["errors"][0]["code"] == "wrong_owner"
    assert (await stand.api.post("/admin/connections", json=body)).status_code == 403
    made = await stand.api.post("/admin/connections", json=body, headers=stand.admin)
    assert made.status_code == 201, made.text
    again = await stand.api.post("/admin/connections", json=body, headers=stand.admin)
    assert (again.status_code, again.json()["code"]) == (409, "connection_exists")
    place = f"connections/{made.json()['id']}"
    other = await log_in(auth, auth_services)
    for headers in ({}, other["headers"]):
        assert (await stand.api.get(f"/{place}", headers=headers)).status_code == 404
        assert (await stand.api.delete(f"/{place}", headers=headers)).status_code == 404
        assert made.json()["id"] not in (await stand.api.get("/connections", headers=headers)).text
        assert (await stand.api.get(f"/admin/{place}", headers=headers)).status_code == 403
        answer = await stand.api.post("/capabilities/weather.read/invoke", json={}, headers=headers)
        assert answer.json() == {"name": "ali"}
    assert (await stand.api.post("/tasks", json=task)).status_code == 201
    assert (await stand.api.post(f"/admin/{place}/test", headers=stand.admin)).json()["ok"]
    assert (await stand.api.delete(f"/admin/{place}", headers=stand.admin)).status_code == 204
    assert (await stand.invoke()).json()["errors"][0]["code"] == "connection_required"


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
        cwd=Path(__file__).parents[3],
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


@pytest.mark.parametrize(
    "target", ["https://10.0.0.1/token", "https://[::1]/token", "http://127.0.0.1.nip.example/token"]
)
async def test_a_token_endpoint_inside_is_not_asked(stand, target):
    """Codes and secrets go through the egress guard and the host binding like every other request."""
    stand.document["auth"][0]["oauth"]["token_url"] = target
    stand.document["allowed_hosts"].append(urlsplit(target).netloc)
    answer = await stand.api.put(f"/admin/modules/{stand.module}", json=stand.document, headers=stand.admin)
    assert answer.status_code == 200, answer.text
    begun = await stand.begin()
    refused = await stand.back(stand.server.consent(begun["authorize_url"]))
    assert (refused.status_code, refused.json()["code"]) in {(409, "egress_denied"), (409, "host_not_allowed")}
    assert (await stand.api.get("/connections")).json()["items"] == []
