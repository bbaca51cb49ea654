"""A real Chromium, and what it looks at: the apps and the stand-ins on real sockets."""

import asyncio
import shutil
import socket
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from deployments.auth_api.app import create_app as auth_app
from deployments.console.app import ConsoleServices
from deployments.console.app import create_app as console_app
from deployments.shared.application import Appearance
from deployments.task_api.app import create_app as task_app
from taske_ray.bootstrap import authentication_of
from taske_ray.catalog.registry import load_documents
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.health import Health
from taske_ray.services.modules import Modules
from taske_ray.settings import Settings
from taske_ray.standins import server
from taske_ray.standins.world import demo_world, register
from tests.integration.api.conftest import log_in

_chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
in_chromium = [
    pytest.mark.integration,
    pytest.mark.browser,
    pytest.mark.skipif(_chromium is None, reason="needs Chromium (Debian: apt install chromium)"),
]
"""The marks of tests here."""
PASSWORD = "seven green bottles"
MODULES = ("google", "slack", "notion", "kma", "system")


@pytest.fixture(scope="module")
async def chromium():
    """One browser for the tests of a file."""
    from playwright import async_api as playwright  # a machine without it skips the tests and reads this all the same

    async with playwright.async_playwright() as driver:
        running = await driver.chromium.launch(executable_path=_chromium, args=["--no-sandbox"])
        yield running
        await running.close()


@pytest.fixture
async def page(chromium):
    """A window of somebody who was never here. What a page does wrong by itself fails its test."""
    context = await chromium.new_context()
    context.set_default_timeout(20_000)
    window, wrong = await context.new_page(), []
    window.on("pageerror", lambda error: wrong.append(str(error)))
    window.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    yield window
    await context.close()
    assert wrong == []


@pytest.fixture
def place():
    """A socket of the service's own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def url(place):
    return f"http://127.0.0.1:{place.getsockname()[1]}"


@pytest.fixture
def settings(tmp_path: Path, url):
    return Settings(tmp_path, public_url=url)


@pytest.fixture
def appearance(url):
    return Appearance(url, b"k" * 32)


@pytest.fixture
def world(url):
    """The demo's providers, which know this service."""
    found = demo_world(datetime.now(UTC))
    register(found, f"{url}/api/v1/connections/callback")
    return found


@pytest.fixture
def standins(world):
    running = server.start(world=world)
    yield running
    running.stop()


@pytest.fixture
async def catalog(database, standins):
    """The modules that lead to the stand-ins."""
    shipped = [document for document in load_documents() if document["module"] in MODULES]
    modules = Modules(database, CapabilityCache(database))
    await modules.sync_catalog(shipped)
    await modules.sync_catalog(server.documents(shipped, standins.url), "demo")


@pytest.fixture
def calls(process):
    return process


@pytest.fixture
def consents(process):
    return process


@pytest.fixture
def apps(settings, auth_services, task_services, api_database, engine_database, readiness, appearance):
    """All apps behind one address, as the front serves them."""
    console = ConsoleServices(Health(engine_database, readiness), authentication_of(settings, api_database))
    return [
        Mount("/auth", auth_app(auth_services, appearance)),
        Mount("/api/v1", task_app(task_services, appearance)),
        Mount("", console_app(console, appearance)),
    ]


@pytest.fixture
async def site(apps, place, url, auth, auth_services):
    """The service, somebody's client of it, and an administrator."""
    running = uvicorn.Server(uvicorn.Config(Starlette(routes=apps), log_config=None, lifespan="off"))
    task = asyncio.create_task(running.serve([place]))
    person = await log_in(auth, auth_services)
    admin = await log_in(auth, auth_services, admin=True)
    async with httpx.AsyncClient(base_url=url, headers=person["headers"]) as http:
        yield Site(url, http, person, admin)
    running.should_exit = True
    await task


class Site:
    """What tests ask of it besides the browser."""

    def __init__(self, url, http, person, admin):
        self.url, self.http, self.person, self.admin = url, http, person, admin

    async def ask(self, method, path, body=None, *, status=200, **headers):
        """The answer of a request that must have this status."""
        answer = await self.http.request(method, path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def register(self, world):
        """Store what the providers know this service by."""
        for module, player in world.players.items():
            if player.login is not None and module in MODULES:
                body = {"client_id": player.login.client["id"], "client_secret": player.login.client["secret"]}
                await self.ask("PUT", f"/api/v1/admin/oauth-clients/{module}/oauth", body, **self.admin["headers"])

    async def begin(self, module="google", capability="google.drive.list_files"):
        """A consent that a program begins."""
        wish = {"module": module, "auth": "oauth", "name": f"My {module}", "capabilities": [capability]}
        return await self.ask("POST", "/api/v1/connections/authorize", wish)

    async def connection(self, connection_id):
        """A connection as its owner sees it."""
        return await self.ask("GET", f"/api/v1/connections/{connection_id}")
