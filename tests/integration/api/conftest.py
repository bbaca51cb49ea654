"""The apps as they are served, over ASGI, on a real database and small fakes of the actors."""

from uuid import uuid4

import httpx
import pytest

from deployments.auth_api.app import create_app as auth_app
from deployments.auth_api.parts import AuthServices
from deployments.hooks_api.app import create_app as hooks_app
from deployments.shared.application import Appearance
from deployments.task_api.app import create_app as task_app
from deployments.task_api.parts import TaskServices
from taske_ray.catalog.registry import load_documents
from taske_ray.clock import SystemClock
from taske_ray.db.fires import FireStore
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.vault import Keyring, new_master_key, read_master_key
from taske_ray.services.accounts import AccountRules, Accounts
from taske_ray.services.api_keys import ApiKeys
from taske_ray.services.authentication import Authentication
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.connections import Connections
from taske_ray.services.deliveries import Deliveries
from taske_ray.services.explanations import Explanations
from taske_ray.services.firing import Firing
from taske_ray.services.hooks import Hooks
from taske_ray.services.idempotency import Idempotency
from taske_ray.services.invocations import Invocations
from taske_ray.services.modules import Modules
from taske_ray.services.plans import Plans
from taske_ray.services.runs import Runs
from taske_ray.services.sealing import Sealer
from taske_ray.services.sessions import Sessions
from taske_ray.services.signing import PublicKeys, SigningKeys
from taske_ray.services.tasks import Tasks

URL = "http://taske.test"
_master = read_master_key(new_master_key())


@pytest.fixture
def appearance():
    return Appearance(URL, b"k" * 32)


@pytest.fixture
def auth_services(database):
    sealer = Sealer(database, Keyring(_master))
    keys, clock, hashing = PublicKeys(database), SystemClock(), PasswordHashing()
    return AuthServices(
        accounts=Accounts(database, hashing=hashing, rules=AccountRules(url=URL)),
        sessions=Sessions(
            database,
            hashing=hashing,
            signing=SigningKeys(database, sealer),
            sealer=sealer,
            issuer=URL,
            clock=clock,
        ),
        api_keys=ApiKeys(database, clock=clock),
        public_keys=keys,
        authentication=Authentication(database, public_keys=keys, issuer=URL, clock=clock),
        idempotency=Idempotency(database, sealer, purpose="auth"),
    )


@pytest.fixture
async def auth(auth_services, appearance):
    """A client of `/auth`."""
    transport = httpx.ASGITransport(app=auth_app(auth_services, appearance), root_path="/auth")
    async with httpx.AsyncClient(transport=transport, base_url=f"{URL}/auth") as client:
        yield client


@pytest.fixture
async def person(auth, auth_services):
    """Somebody who is logged in: the headers of their requests, and who they are."""
    email = f"{uuid4().hex}@example.com"
    await auth_services.accounts.create_user(email, "seven green bottles")
    tokens = (await auth.post("/login", json={"email": email, "password": "seven green bottles"})).json()
    return {"email": email, "headers": {"authorization": f"Bearer {tokens['access_token']}"}, **tokens}


@pytest.fixture
async def cache(database):
    """The shipped catalog, loaded."""
    found = CapabilityCache(database)
    await Modules(database, found).sync_catalog(load_documents())
    return found


@pytest.fixture
async def store(database):
    found = FireStore(database)
    yield found
    await found.close()


@pytest.fixture
def sealer(database):
    return Sealer(database, Keyring(_master))


@pytest.fixture
def task_services(database, cache, store, sealer, hosts, watchers, calls, auth_services):
    firing, clock = Firing(store, hosts), SystemClock()
    tasks = Tasks(database, cache=cache, hooks=Hooks(sealer, url=URL), firing=firing, watchers=watchers)
    return TaskServices(
        tasks=tasks,
        plans=Plans(database, cache=cache, tasks=tasks),
        explanations=Explanations(database, tasks=tasks),
        runs=Runs(database, firing=firing, hosts=hosts),
        connections=Connections(database, cache=cache, sealer=sealer, calls=calls),
        modules=Modules(database, cache),
        invocations=Invocations(database, cache=cache, calls=calls, clock=clock),
        authentication=auth_services.authentication,
        idempotency=Idempotency(database, sealer, purpose="hooks"),
    )


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
async def hooks(database, cache, store, sealer, hosts):
    """A client of `/hooks`."""
    clock = SystemClock()
    deliveries = Deliveries(database, store=store, firing=Firing(store, hosts), cache=cache, sealer=sealer, clock=clock)
    transport = httpx.ASGITransport(app=hooks_app(deliveries, clock=clock, url=URL), root_path="/hooks")
    async with httpx.AsyncClient(transport=transport, base_url=f"{URL}/hooks") as client:
        yield client
