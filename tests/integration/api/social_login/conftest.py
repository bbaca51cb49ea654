"""Providers whose people log in at `/auth`, and a browser that goes there and comes back."""

from contextlib import AsyncExitStack
from uuid import uuid4

import httpx
import psycopg
import pytest

from deployments.auth_api.app import create_app
from taske_ray.bootstrap import account_services, identity_providers
from taske_ray.settings import Settings, SocialLogin
from tests.integration.api.conftest import URL
from tests.integration.providers import GitHub, Impostor, playing, query_of, real_provider

PASSWORD = "seven green bottles"
BROWSER = {"accept": "text/html,application/xhtml+xml"}


@pytest.fixture
async def corp():
    """A provider that says what a test wants: at first that this is Mina, whose address it verified."""
    played = Impostor(claims={"email": f"{uuid4().hex}@example.com", "email_verified": True, "sub": uuid4().hex})
    async with playing(played):
        yield played


@pytest.fixture
async def twin(corp):
    """Another provider, whose subject has the same name and is somebody else."""
    played = Impostor(claims={**corp.claims, "email": f"{uuid4().hex}@example.com"})
    async with playing(played):
        yield played


@pytest.fixture
async def github():
    played = GitHub(redirect_uri=f"{URL}/auth/login/github/callback", user={"id": uuid4().int % 10**9 + 1})
    played.addresses = [{"email": f"{uuid4().hex}@example.com", "primary": True, "verified": True}]
    async with playing(played):
        yield played


@pytest.fixture
def real(monkeypatch):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    with real_provider(f"{URL}/auth/login/real/callback", names_itself=True) as provider:
        yield provider


@pytest.fixture
def settings(tmp_path, corp, twin, github):
    logins = (
        SocialLogin("corp", "client", "corp-secret-canary", corp.issuer),
        SocialLogin("github", github.client_id, github.client_secret, github.home),
        SocialLogin("twin", "client", "twin-secret", twin.issuer),
    )
    return Settings(tmp_path, public_url=URL, social_logins=logins)


@pytest.fixture
async def providers(settings):
    async with AsyncExitStack() as stack:
        yield identity_providers(settings, stack)


@pytest.fixture
def other_auth(database, keyring, providers, appearance):
    """Call it for a client of an `/auth` with other settings, as another browser."""

    def client(settings):
        services = account_services(settings, database, keyring, providers)
        transport = httpx.ASGITransport(app=create_app(services, appearance), root_path="/auth")
        return httpx.AsyncClient(transport=transport, base_url=f"{URL}/auth")

    return client


async def leave(auth, name="corp", **query):
    """Begin a login: the parameters that the provider got."""
    gone = await auth.get(f"/login/{name}", params=query)
    assert gone.status_code == 303, gone.text
    return query_of(gone.headers["location"])


async def come_back(auth, sent, name="corp", headers=None, **changes):
    """End it, with the provider's answer changed. The code is the nonce, as the impostor wants it."""
    answer = {"state": sent["state"], "code": sent["nonce"], **changes}
    params = {name: value for name, value in answer.items() if value is not None}
    return await auth.get(f"/login/{name}/callback", params=params, headers=headers)


async def log_in(auth, name="corp", **more):
    return await come_back(auth, await leave(auth, name), name, **more)


async def me(auth, answer):
    found = await auth.get("/me", headers={"authorization": f"Bearer {answer.json()['access_token']}"})
    assert found.status_code == 200, answer.text
    return found.json()


def query(database_url, statement):
    with psycopg.connect(database_url) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


def assert_problem(response, status, code):
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert response.headers["content-type"] == "application/problem+json"
    assert "set-cookie" not in response.headers
