"""Connections by consent, end to end: begin, come back, and everything that comes to nothing."""

import hashlib
import re
from dataclasses import replace
from urllib.parse import urlsplit

import httpx
import pytest

from deployments.task_api.app import create_app as task_app
from taske_ray.bootstrap import task_services as services_of_tasks
from taske_ray.limits import profiles
from tests.integration.api.conftest import URL, log_in
from tests.integration.api.connect.conftest import CLIENT, REDIRECT, dump

pytestmark = pytest.mark.integration
BROWSER = {"origin": URL, "accept": "text/html"}


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
