"""What a person sees: the pages in a real Chromium."""

import re

import pytest

from tests.integration.api.browser.conftest import in_chromium

playwright = pytest.importorskip(
    "playwright.async_api", reason="needs Playwright: pip install -r requirements-dev.lock"
)
pytestmark = in_chromium


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
