"""Connections without a user's consent: an application's own tokens, signed assertions, and those of the instance."""

import asyncio

import pytest
from joserfc import jwk

from tests.integration.api.conftest import log_in
from tests.integration.api.connect.conftest import CLIENT, REDIRECT

pytestmark = pytest.mark.integration


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
