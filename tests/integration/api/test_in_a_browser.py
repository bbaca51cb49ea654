"""What a person sees: the pages in a real Chromium, against the apps and the stand-ins on real sockets."""

import asyncio
import re
import shutil
import socket
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pyotp
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
from taske_ray.bootstrap import task_services as services_of_tasks
from taske_ray.catalog.registry import load_documents
from taske_ray.limits import profiles
from taske_ray.services.catalog_cache import CapabilityCache
from taske_ray.services.health import Health
from taske_ray.services.modules import Modules
from taske_ray.settings import Settings
from taske_ray.standins import server
from taske_ray.standins.world import demo_folder, demo_world, register
from tests.integration.api.conftest import log_in

playwright = pytest.importorskip(
    "playwright.async_api", reason="needs Playwright: pip install -r requirements-dev.lock"
)
_chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.integration,
    pytest.mark.browser,
    pytest.mark.skipif(_chromium is None, reason="needs Chromium (Debian: apt install chromium)"),
]
PASSWORD = "seven green bottles"
MODULES = ("google", "slack", "notion", "kma", "system")


@pytest.fixture(scope="module")
async def chromium():
    """One browser for all tests here."""
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


@pytest.mark.parametrize("width", [360, 1280])
async def test_pages_fit_and_say_nothing_wrong(page, site, width):
    """Every page has a title and a heading, fits a telephone and a desk, misses nothing and reports nothing."""
    await page.set_viewport_size({"width": width, "height": 800})
    said, failed = [], []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
    token, nobody = f"#token={'x' * 43}", f"/reconnect#conn_{'0' * 32}"
    for path in ("/", f"/verify{token}", f"/email{token}", f"/reset{token}", f"/not-me{token}", nobody):
        await page.goto(site.url + path, wait_until="networkidle")
        assert await page.locator("h1").inner_text()
        assert "Taske on Ray" in await page.title()
        assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path
        assert await page.evaluate("document.documentElement.clientWidth") == width
        await page.goto("about:blank")
    assert (said, failed) == ([], [])
    for path in ("/nothing/here", "/api/v1/tasks", "/auth/login/nobody", "/api/v1/connections/callback?state=x&code=y"):
        answer = await page.goto(site.url + path, wait_until="networkidle")
        assert answer.status in (401, 404, 422)
        assert await page.locator("h1").inner_text()
        assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"), path


async def test_the_api_can_be_read(page, site):
    """The API's page lists every operation, finds by words, and opens one with its schema; a failed login is told."""
    await page.goto(f"{site.url}/#error=access_denied")
    assert page.url == f"{site.url}/docs#error=access_denied"
    await playwright.expect(page.locator(".notice")).to_contain_text("access denied")
    entries = page.locator("details")
    await playwright.expect(entries.first).to_be_visible()
    assert await entries.count() > 80
    await page.get_by_label("Find").fill("oauth-clients put")
    await page.get_by_label("Find").fill("put /api/v1/admin/oauth-clients")
    shown = page.locator("details:visible")
    await playwright.expect(shown).to_have_count(1)
    await shown.locator("summary").click()
    await playwright.expect(shown.locator("pre").first).to_contain_text("client_secret")


async def test_a_link_in_a_mail_changes_a_password(page, site, database):
    """The mailed address, opened: a weak password is refused with its reason, a good one logs in; once only."""
    await site.ask("POST", "/auth/password/forgot", {"email": site.person["email"]}, status=202)
    [mail] = await database.fetch(
        "SELECT body_text FROM mails WHERE %(to)s = ANY(recipients) AND purpose = 'reset'", {"to": site.person["email"]}
    )
    [link] = re.findall(r"http\S+/reset#token=\S+", mail["body_text"])
    await page.goto(link)
    for password, said in (("short", "8 characters"), ("eight blue kettles", "Your password is changed")):
        await page.get_by_label("New password").fill(password)
        await page.get_by_role("button").click()
        await playwright.expect(page.get_by_role("status")).to_contain_text(said)
    await playwright.expect(page.get_by_role("button")).to_be_hidden()
    account = {"email": site.person["email"], "password": "eight blue kettles"}
    assert (await site.ask("POST", "/auth/login", account))["access_token"]
    await page.reload()
    await page.get_by_label("New password").fill("nine pink saucers")
    await page.get_by_role("button").click()
    await playwright.expect(page.get_by_role("status")).to_contain_text("used or expired")


@pytest.mark.parametrize(
    ("locale", "heading"), [("ko-KR", "다시 연결"), ("ja-JP", "再接続"), ("de-DE", "Connect again")]
)
async def test_pages_speak_the_browsers_language(chromium, site, locale, heading):
    """Korean and Japanese where the browser says so, English for everybody else; also what the script says."""
    context = await chromium.new_context(locale=locale)
    page = await context.new_page()
    await page.goto(f"{site.url}/reconnect#conn_{'0' * 32}")
    await playwright.expect(page.get_by_role("heading")).to_have_text(heading)
    assert await page.title() in (f"Taske on Ray: {heading}", "Taske on Ray: connect again")
    await page.get_by_role("button", name=heading).click()
    await playwright.expect(page.get_by_role("status")).to_have_class("notice")
    english = await page.get_by_text("You are not logged in here.").count()
    assert bool(english) == (locale == "de-DE")
    await context.close()


@pytest.mark.parametrize("path", ["/verify", "/reset", "/not-me", "/reconnect"])
async def test_half_a_link_is_told(page, site, path):
    """A link that lost what stands behind its # says so and offers no button."""
    await page.goto(site.url + path)
    await playwright.expect(page.get_by_role("status")).to_contain_text("not complete")
    await playwright.expect(page.get_by_role("button")).to_be_hidden()


async def test_a_consent_in_a_browser(page, site, world):
    """Sent to the provider, allowed there, back on a page that names the account; the connection works; no is no."""
    await site.register(world)
    begun = await site.begin()
    await page.goto(begun["authorize_url"])
    await playwright.expect(page.get_by_text("drive.metadata.readonly")).to_be_visible()
    await page.get_by_role("button", name="Allow").click()
    await playwright.expect(page.get_by_role("heading")).to_have_text("Connected")
    await playwright.expect(page.locator("body")).to_contain_text("demo@example.com")
    assert (await site.connection(begun["connection"]))["label"] == "demo@example.com"
    body = {"connection": begun["connection"], "params": {"folder_id": demo_folder, "name_contains": "기획서"}}
    assert (await site.ask("POST", "/api/v1/capabilities/google.drive.list_files/invoke", body))["count"] == 4
    world.players["google"].login.expire()
    assert (await site.ask("POST", "/api/v1/capabilities/google.drive.list_files/invoke", body))["count"] == 4
    begun = await site.begin()
    await page.goto(begun["authorize_url"])
    await page.get_by_role("button", name="Deny").click()
    await playwright.expect(page.get_by_role("heading")).to_have_text("Not connected")
    await playwright.expect(page.locator("body")).to_contain_text("access_denied")
    await page.reload()
    await playwright.expect(page.locator("body")).to_contain_text("begin again")


@pytest.mark.parametrize("module", ["slack", "notion"])
async def test_other_dialects(page, site, world, module):
    """Slack's commas and errors in a 200, Notion's JSON and Basic: connected, named, tested."""
    await site.register(world)
    begun = await site.begin(module, {"slack": "slack.chat.post_message", "notion": "notion.page.create"}[module])
    await page.goto(begun["authorize_url"])
    await page.get_by_role("button", name="Allow").click()
    await playwright.expect(page.get_by_role("heading")).to_have_text("Connected")
    assert (await site.connection(begun["connection"]))["label"] == "Taske demo"
    assert (await site.ask("POST", f"/api/v1/connections/{begun['connection']}/test"))["ok"]


@pytest.fixture
def careful(settings, api_database, keyring, ports, store):
    """The services of an instance where strangers have accounts."""
    return services_of_tasks(replace(settings, limits=profiles["public"]), api_database, keyring, ports, store)


async def test_where_strangers_have_accounts_a_browser_is_asked(page, site, world, apps, careful, appearance):
    """In the public profile a consent that a program began shows an account and a button before anything is made."""
    apps[1].app = task_app(careful, appearance)
    await site.register(world)
    begun = await site.begin()
    await page.goto(begun["authorize_url"])
    await page.get_by_role("button", name="Allow").click()
    await playwright.expect(page.get_by_role("heading")).to_have_text("Connect?")
    await site.ask("GET", f"/api/v1/connections/{begun['connection']}", status=404)
    await page.get_by_role("button", name="•••@example.com").click()
    await playwright.expect(page.get_by_role("heading")).to_have_text("Connected")
    assert (await site.connection(begun["connection"]))["status"] == "active"


async def lost(site, page, world):
    """A connection by consent that the provider ended, as the mail about it finds it."""
    await site.register(world)
    begun = await site.begin()
    await page.goto(begun["authorize_url"])
    await page.get_by_role("button", name="Allow").click()
    await playwright.expect(page.get_by_role("heading")).to_have_text("Connected")
    login = world.players["google"].login
    for grant in login.refreshes.values():
        grant.ended = True
    body = {"connection": begun["connection"], "params": {"folder_id": demo_folder}}
    await site.ask("POST", "/api/v1/capabilities/google.drive.list_files/invoke", body, status=409)
    assert (await site.connection(begun["connection"]))["status"] == "needs_reauth"
    return begun["connection"]


async def test_a_lost_consent_is_made_again(page, site, world, database):
    """The link in the mail: log in on the page with password and code, allow at the provider; this browser is known."""
    connection = await lost(site, page, world)
    secret = (await site.ask("POST", "/auth/totp"))["secret"]
    codes = (await site.ask("POST", "/auth/totp/confirm", {"code": pyotp.TOTP(secret).now()}))["recovery_codes"]
    [mail] = await database.fetch("SELECT body_text FROM mails WHERE purpose = 'needs_reauth'")
    [link] = re.findall(r"http\S+/reconnect#\S+", mail["body_text"])
    assert link.endswith(connection)
    await page.goto(link)
    button, told = page.get_by_role("button"), page.get_by_role("status")
    await button.click()
    await playwright.expect(told).to_contain_text("not logged in")
    await page.get_by_label("E-mail").fill(site.person["email"])
    await page.get_by_label("Password").fill("wrong horse staple")
    await button.click()
    await playwright.expect(told).not_to_contain_text("not logged in")
    await page.get_by_label("Password").fill(PASSWORD)
    await button.click()
    await playwright.expect(told).to_contain_text("code")
    for code, said in (("000000", "wrong"), (codes[0], None)):
        await page.get_by_label("Code").fill(code)
        await button.click()
        if said:
            await playwright.expect(told).to_contain_text(said)
    await page.get_by_role("button", name="Allow").click()
    await playwright.expect(page.get_by_role("heading")).to_have_text("Connected")
    await page.goto(link)
    await page.get_by_role("button").click()  # this browser is logged in now
    await playwright.expect(page.get_by_role("button", name="Allow")).to_be_visible()


async def test_somebody_else_cannot_make_it_again(page, site, world, auth, auth_services):
    """Another account is told that it has no such connection; a key that is none is refused; both may try again."""
    connection = await lost(site, page, world)
    other = await log_in(auth, auth_services)
    await page.goto(f"{site.url}/reconnect#{connection}")
    await page.get_by_role("button").click()
    for key, said in (("tsk_none", "not accepted"), (other["access_token"], "no such connection")):
        await page.get_by_label("API key").fill(key)
        await page.get_by_role("button").click()
        await playwright.expect(page.get_by_role("status")).to_contain_text(said)
    await page.get_by_label("API key").fill(site.person["access_token"])
    await page.get_by_role("button").click()
    await playwright.expect(page.get_by_role("button", name="Allow")).to_be_visible()


async def test_a_lost_token_is_given_again(page, site, world):
    """A connection that was made with a token asks for another one; a wrong one is told, a good one ends it."""
    made = {"module": "slack", "auth": "bot_token", "name": "Team", "fields": {"token": "xoxb-revoked-since"}}
    connection = await site.ask("POST", "/api/v1/connections", made, status=201)
    await page.goto(f"{site.url}/reconnect#{connection['id']}")
    button, told = page.get_by_role("button"), page.get_by_role("status")
    await button.click()
    await page.get_by_label("API key").fill(site.person["access_token"])
    await button.click()
    await playwright.expect(told).to_contain_text("Team (Slack)")
    world.slack.tokens.add("xoxb-another")
    for token, said in (("xoxb-wrong", "invalid_auth"), ("xoxb-another", "connected again")):
        await page.get_by_label("Bot token").fill(token)
        await button.click()
        await playwright.expect(told).to_contain_text(said)
    assert (await site.connection(connection["id"]))["status"] == "active"


async def test_an_administrator_renews_what_is_the_instances(page, site, world):
    """The same page, with an administrator's login, gives the instance's connection another key."""
    body = {"module": "kma", "auth": "instance_key", "name": "Weather", "fields": {"key": "an old key of ours"}}
    made = await site.ask("POST", "/api/v1/admin/connections", body, status=201, **site.admin["headers"])
    await page.goto(f"{site.url}/reconnect#{made['id']}")
    await page.get_by_role("button").click()
    await page.get_by_label("E-mail").fill(site.admin["email"])
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button").click()
    world.players["kma"].tokens.add("another key of ours")
    await page.get_by_label("Key", exact=True).fill("another key of ours")
    await page.get_by_role("button").click()
    await playwright.expect(page.get_by_role("status")).to_contain_text("Weather is connected again")
    now = await site.ask("GET", f"/api/v1/admin/connections/{made['id']}", **site.admin["headers"])
    assert now["fields"]["key"].endswith("ours")
    assert now["updated_at"] > made["updated_at"]
