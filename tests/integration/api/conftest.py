"""The apps as they are served, over ASGI, on a real database and small fakes of the actors."""

from uuid import uuid4

import httpx
import pytest

from deployments.auth_api.app import create_app as auth_app
from deployments.auth_api.parts import AuthServices
from deployments.shared.application import Appearance
from taske_ray.clock import SystemClock
from taske_ray.security.hashing import PasswordHashing
from taske_ray.security.vault import Keyring, new_master_key, read_master_key
from taske_ray.services.accounts import AccountRules, Accounts
from taske_ray.services.api_keys import ApiKeys
from taske_ray.services.authentication import Authentication
from taske_ray.services.idempotency import Idempotency
from taske_ray.services.sealing import Sealer
from taske_ray.services.sessions import Sessions
from taske_ray.services.signing import PublicKeys, SigningKeys

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
