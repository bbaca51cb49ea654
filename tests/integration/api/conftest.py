"""The apps as they are served, over ASGI, on a real database and small fakes of the actors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from actors.connection_resolver import CatalogOfCalls, ConnectionResolver
from actors.data_keys import DataKeys
from actors.subscriptions import SubscriptionKeeper
from deployments.auth_api.app import create_app as auth_app
from deployments.console.app import ConsoleServices
from deployments.console.app import create_app as console_app
from deployments.hooks_api.app import create_app as hooks_app
from deployments.shared.application import Appearance
from deployments.task_api.app import create_app as task_app
from taske_ray.bootstrap import account_services, authentication_of
from taske_ray.bootstrap import deliveries as delivery_service
from taske_ray.bootstrap import task_services as services_of_tasks
from taske_ray.catalog.registry import load_documents
from taske_ray.clock import SystemClock
from taske_ray.db.fires import FireStore
from taske_ray.integrations.client import IntegrationClient
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.transport import Transport
from taske_ray.security.vault import Keyring, new_master_key, purpose_keys, read_master_key
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.health import Health
from taske_ray.services.modules import Modules
from taske_ray.services.sealing import Sealer
from taske_ray.services.trail import Trail
from taske_ray.settings import Settings
from tests.integration.api.shop import Shop, document, serving
from tests.integration.api.whole_service import URL, Caller, Front, Things
from tests.integration.in_process import InProcess
from tests.unit.integrations.memory_tokens import MemoryTokens

_master = read_master_key(new_master_key())


@dataclass
class FakePorts:
    """The actors' side, as fakes."""

    run_hosts: Any
    watchers: Any
    calls: Any
    consents: Any
    readiness: Any


@pytest.fixture
def settings(tmp_path: Path):
    return Settings(tmp_path, public_url=URL)


@pytest.fixture
def keyring():
    return Keyring(purpose_keys(_master))


@pytest.fixture
def appearance():
    return Appearance(URL, b"k" * 32)


@pytest.fixture
def providers():
    """Nobody to log in with."""
    return {}


@pytest.fixture
def farewells():
    """Nobody to say goodbye to."""


@pytest.fixture
def auth_services(settings, auth_database, keyring, providers, farewells):
    return account_services(settings, auth_database, keyring, providers, farewells=farewells)


@pytest.fixture
async def auth(auth_services, appearance):
    """A client of `/auth`."""
    transport = httpx.ASGITransport(app=auth_app(auth_services, appearance), root_path="/auth")
    async with httpx.AsyncClient(transport=transport, base_url=f"{URL}/auth") as client:
        yield client


@pytest.fixture
async def person(auth, auth_services):
    """Somebody who is logged in: the headers of their requests, and who they are."""
    return await log_in(auth, auth_services)


@pytest.fixture
async def admin(auth, auth_services):
    """An administrator who is logged in."""
    return await log_in(auth, auth_services, admin=True)


async def log_in(auth, auth_services, *, admin=False):
    email = f"{uuid4().hex}@example.com"
    await auth_services.accounts.create_user(email, "seven green bottles", admin=admin)
    tokens = (await auth.post("/login", json={"email": email, "password": "seven green bottles"})).json()
    return {"email": email, "headers": {"authorization": f"Bearer {tokens['access_token']}"}, **tokens}


@pytest.fixture
async def catalog(database):
    """The shipped catalog, loaded."""
    await Modules(database, CapabilityCache(database)).sync_catalog(load_documents())


@pytest.fixture
async def store(engine_database):
    found = FireStore(engine_database)
    yield found
    await found.close()


@pytest.fixture
def ports(hosts, watchers, calls, consents, readiness):
    return FakePorts(hosts, watchers, calls, consents, readiness)


@pytest.fixture
def task_services(settings, api_database, keyring, ports, store, catalog):  # noqa: ARG001 - loaded first
    return services_of_tasks(settings, api_database, keyring, ports, store)


@pytest.fixture
async def api(task_services, appearance):
    """A client of `/api/v1`, nobody in particular."""
    transport = httpx.ASGITransport(app=task_app(task_services, appearance), root_path="/api/v1")
    async with httpx.AsyncClient(transport=transport, base_url=f"{URL}/api/v1") as client:
        yield client


@pytest.fixture
async def mina(api, person):
    """The same client, as somebody who is logged in."""
    api.headers.update(person["headers"])
    return api


@pytest.fixture
async def process(settings, engine_database, keyring):
    """What makes calls and consents in truth; a test that wants it takes it as `calls` and `consents`."""
    found = await InProcess(engine_database, keyring, url=settings.public_url).open()
    yield found
    await found.close()


@pytest.fixture
async def trail(engine_database):
    """What writes down acts that nobody waits for."""
    found = Trail(engine_database)
    yield found
    await found.close()


@pytest.fixture
def replica(settings, engine_database, hosts, trail, catalog):  # noqa: ARG001 - loaded first
    """Call it with a store for a client of `/hooks` of a process that has just begun, with the keys that one has."""
    keyring = Keyring(purpose_keys(_master, purposes=["hooks"]))

    def start(store):
        deliveries = delivery_service(settings, engine_database, keyring, hosts, store, trail)
        app = hooks_app(deliveries, clock=SystemClock(), url=URL)
        transport = httpx.ASGITransport(app=app, root_path="/hooks")
        return httpx.AsyncClient(transport=transport, base_url=f"{URL}/hooks")

    return start


@pytest.fixture
async def hooks(replica, store):
    """A client of `/hooks`."""
    async with replica(store) as client:
        yield client


@pytest.fixture
async def console(settings, api_database, engine_database, readiness, appearance):
    """A client of `/`."""
    services = ConsoleServices(Health(engine_database, readiness), authentication_of(settings, api_database))
    transport = httpx.ASGITransport(app=console_app(services, appearance))
    async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
        yield client


@pytest.fixture
def shop():
    made = Shop()
    with serving(made) as made.port:
        yield made


@pytest.fixture
async def keeper(engine_database, database):
    """What an integration client does every second; `again` makes everything due and does it.

    Registrations of earlier tests, whose services are gone, are forgotten, and what wanted them is off: they would be
    tried beside this one's.
    """
    await database.fetch("UPDATE triggers SET enabled = false")
    await database.fetch("DELETE FROM subscriptions")
    cache = CapabilityCache(engine_database)
    transport = Transport(guard=EgressGuard(["127.0.0.0/8"]))
    client = IntegrationClient(
        capabilities=CatalogOfCalls(cache),
        connections=ConnectionResolver(
            engine_database,
            DataKeys(engine_database, Keyring(purpose_keys(_master, purposes=["credentials"]))),
            url=URL,
        ),
        tokens=MemoryTokens(),
        transport=transport,
        clock=SystemClock(),
        database_time=lambda: 0.0,
    )
    sealer = Sealer(engine_database, Keyring(purpose_keys(_master, purposes=["hooks"])))
    made = SubscriptionKeeper(engine_database, client=client, cache=cache, sealer=sealer, url=URL)

    async def again(**changes):
        values = {"due_at": "clock_timestamp()", "taken_until": "NULL", **changes}
        text = ", ".join(f"{name} = {value}" for name, value in values.items())
        await database.fetch(f"UPDATE subscriptions SET {text}")
        await made.work()

    made.again = again
    yield made
    await client.close()


@pytest.fixture
def enabled(api, admin, person, shop):
    """Saves the module and a task on it; returns (the task's id, its hook's token). `secrets` are the connection's."""

    async def save(module, *, params=None, secrets=("token",), **webhook):
        put = await api.put(
            f"/admin/modules/{module}", json=document(module, shop.port, secrets, **webhook), headers=admin["headers"]
        )
        assert put.status_code == 200, put.json()
        given = {name: f"{name}-of-mina" for name in secrets}
        fields = {"module": module, "auth": "token", "name": module, "fields": given}
        connection = (await api.post("/connections", json=fields, headers=person["headers"])).json()
        trigger = {"capability": f"{module}.order", "connection": connection["id"], "params": params or {}}
        action = {"capability": "system.delay", "params": {"for": "PT1S"}}
        made = await api.post(
            "/tasks", json={"name": module, "trigger": trigger, "actions": [action]}, headers=person["headers"]
        )
        assert made.status_code == 201, made.json()
        return made.json()["id"], made.json()["trigger"]["hook_url"].rpartition("/")[2]

    return save


@pytest.fixture
async def http(settings, auth_services, task_services, api_database, engine_database, readiness, appearance):
    """A client of the whole service."""
    services = ConsoleServices(Health(engine_database, readiness), authentication_of(settings, api_database))
    apps = {
        "/auth": auth_app(auth_services, appearance),
        "/api/v1": task_app(task_services, appearance),
        "/": console_app(services, appearance),
    }
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=Front(apps)), base_url=URL) as client:
        yield client


@pytest.fixture
def somebody(http, auth, auth_services):
    """Call it for a new user who is logged in."""

    async def make(*, admin=False):
        return Caller(http, (await log_in(auth, auth_services, admin=admin))["headers"])

    return make


@pytest.fixture
def things(database, calls):
    return Things(database, calls)
