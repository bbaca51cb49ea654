"""A module whose service is an OAuth server that nobody here wrote, and what a user does to connect with it."""

import os
from urllib.parse import urlsplit

import pytest

from taske_ray.catalog.registry import load_documents
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.modules import Modules
from tests.integration.api.conftest import URL
from tests.integration.authorization_server import authorization_server

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"  # the server runs on loopback without TLS
REDIRECT = f"{URL}/api/v1/connections/callback"
CLIENT = {"client_id": "the-client", "client_secret": "the-client-s3cret"}


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
