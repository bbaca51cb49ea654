"""The page that makes a lost connection again, in a real Chromium."""

import re

import pyotp
import pytest

from taske_ray.standins.world import demo_folder
from tests.integration.api.browser.conftest import PASSWORD, in_chromium
from tests.integration.api.conftest import log_in

playwright = pytest.importorskip(
    "playwright.async_api", reason="needs Playwright: pip install -r requirements-dev.lock"
)
pytestmark = in_chromium


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
