"""Connecting a service in a real Chromium: to the provider, and back."""

from dataclasses import replace

import pytest

from deployments.task_api.app import create_app as task_app
from taske_ray.bootstrap import task_services as services_of_tasks
from taske_ray.limits import profiles
from taske_ray.standins.world import demo_folder
from tests.integration.api.browser.conftest import in_chromium

playwright = pytest.importorskip(
    "playwright.async_api", reason="needs Playwright: pip install -r requirements-dev.lock"
)
pytestmark = in_chromium


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
