"""A connection by consent on a whole service: allowed at the provider, used by a run, renewed, ended."""

import re
from urllib.parse import urlsplit

import httpx
import pytest

from taske_ray.standins.world import register
from tests.e2e.conftest import CHANNEL, FOLDER, Api
from tests.e2e.instance import PASSWORD

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120, func_only=True)]


def allow(authorize_url):
    """Press Allow at the provider, follow the browser home, and return what the page there says."""
    with httpx.Client(follow_redirects=True, headers={"accept": "text/html"}, timeout=30) as browser:
        page = browser.get(authorize_url)
        [ticket] = re.findall(r'name="ticket" value="([^"]+)"', page.text)
        return browser.post(authorize_url, data={"ticket": ticket, "decision": "allow"}).text


def test_weekly_planning_by_consent(service, admin, stand_ins):
    """Connected by consent, Google lists and Slack posts; a token renews itself; a deleted account ends it."""
    register(stand_ins.world, f"{service.url}/api/v1/connections/callback")
    for module in ("google", "slack"):
        client = stand_ins.world.players[module].login.client
        body = {"client_id": client["id"], "client_secret": client["secret"]}
        admin.ask("PUT", f"/admin/oauth-clients/{module}/oauth", body)
    account = {"email": "consent@example.com", "password": PASSWORD}
    service.account(account["email"])
    token = httpx.post(f"{service.url}/auth/login", json=account, timeout=20).json()["access_token"]
    with Api(service, token) as api:
        made = {}
        for module, capability in (("google", "google.drive.list_files"), ("slack", "slack.chat.post_message")):
            wish = {"module": module, "auth": "oauth", "capabilities": [capability]}
            begun = api.ask("POST", "/connections/authorize", wish)
            assert urlsplit(begun["authorize_url"]).netloc == urlsplit(stand_ins.url).netloc
            assert "<h1>Connected</h1>" in allow(begun["authorize_url"])
            made[module] = begun["connection"]
        task = api.task(
            {"capability": "system.manual"},
            {
                "capability": "google.drive.list_files",
                "connection": made["google"],
                "params": {"folder_id": FOLDER, "name_contains": "기획서"},
            },
            {
                "capability": "slack.chat.post_message",
                "connection": made["slack"],
                "params": {"channel": CHANNEL, "text": "{{ action1.output.fileList | map: 'name' | join: ', ' }}"},
            },
        )
        login = stand_ins.world.players["google"].login
        for _ in range(2):
            run = api.fire(task)
            assert run["status"] == "succeeded", run
            login.expire()
        grants = {grant.refresh: grant for grant in login.refreshes.values()}
        assert [grant.ended for grant in grants.values()] == [False]
        gone = httpx.delete(f"{service.url}/auth/me", headers={"authorization": f"Bearer {token}"}, timeout=20)
        assert gone.status_code == 204, gone.text
        assert [grant.ended for grant in grants.values()] == [True]
