"""The played logins refuse what a provider refuses."""

import base64
import hashlib
import re
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest

from taske_ray.standins.server import start
from taske_ray.standins.world import World, register

pytestmark = pytest.mark.integration
BACK = "http://taske.test/api/v1/connections/callback"
VERIFIER = "v" * 50
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
DRIVE = "https://www.googleapis.com/auth/drive.metadata.readonly"
ASKED = {
    "google": {
        "scope": f"openid email {DRIVE}",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "access_type": "offline",
    },
    "slack": {"scope": "chat:write"},
    "notion": {"owner": "user"},
}


@pytest.fixture
def world():
    """Providers that one service is registered with."""
    found = World()
    register(found, BACK)
    return found


@pytest.fixture
def http(world):
    """A client of the running providers."""
    running = start(world=world)
    with httpx.Client(base_url=running.url) as client:
        yield client
    running.stop()


class Provider:
    """One of them, from a browser's and from a service's side."""

    def __init__(self, http, login, name):
        self.http, self.login, self.name, self.said = http, login, name, login.document

    def ask(self, **change):
        """What a browser gets for a request of consent, changed."""
        query = {
            "response_type": "code",
            "client_id": self.said["client"]["id"],
            "redirect_uri": BACK,
            "state": "s" * 43,
        }
        query = {name: value for name, value in {**query, **ASKED[self.name], **change}.items() if value is not None}
        return self.http.get(f"/{self.name}{self.said['authorize']}", params=query)

    def decide(self, page, decision="allow"):
        """Where pressing a button of the page leads."""
        [ticket] = re.findall(r'name="ticket" value="([^"]+)"', page.text)
        answer = self.http.post(page.request.url, data={"ticket": ticket, "decision": decision})
        return dict(parse_qsl(urlsplit(answer.headers["location"]).query)) if answer.status_code == 303 else answer

    def code(self, **change):
        """A fresh code."""
        return self.decide(self.ask(**change))["code"]

    def post(self, secret=None, **params):
        """Ask for tokens as the provider wants to be asked."""
        client = {"client_id": self.said["client"]["id"], "client_secret": secret or self.said["client"]["secret"]}
        auth = None
        if self.said.get("client_auth") == "basic":
            auth, client = tuple(client.values()), {}
        kind = "json" if self.said.get("body") == "application/json" else "data"
        return self.http.post(f"/{self.name}{self.said['token']}", **{kind: {**client, **params}}, auth=auth)

    def exchange(self, code, **change):
        """Tokens for a code."""
        verifier = {"code_verifier": VERIFIER} if self.name == "google" else {}
        return self.post(
            **{"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, **verifier, **change}
        )


@pytest.fixture(params=list(ASKED))
def provider(request, http, world):
    """Each of them."""
    return Provider(http, world.players[request.param].login, request.param)


@pytest.fixture
def google(http, world):
    """The one that has everything."""
    return Provider(http, world.players["google"].login, "google")


def refused(answer):
    """The error's name."""
    said = answer.json()
    assert "access_token" not in said
    return said["error"]


def test_a_code_gives_tokens_once(provider):
    """A state comes back as sent, a code is good once, and its second use ends what the first one gave."""
    page = provider.ask()
    back = provider.decide(page)
    assert back["state"] == "s" * 43
    assert provider.decide(page).status_code == 400
    tokens = provider.exchange(back["code"]).json()
    assert provider.login.accepts(tokens["access_token"])
    assert refused(provider.exchange(back["code"])) in ("invalid_grant", "invalid_code")
    assert not provider.login.accepts(tokens["access_token"])


@pytest.mark.parametrize("change", [{"client_id": "other"}, {"redirect_uri": BACK + "x"}, {"redirect_uri": None}])
def test_strangers_are_sent_nowhere(provider, change):
    """An unknown client or address gets a page, and nobody is redirected."""
    answer = provider.ask(**change)
    assert (answer.status_code, answer.has_redirect_location) == (400, False)


@pytest.mark.parametrize(
    "change",
    [{"state": None}, {"state": "short"}, {"response_type": "token"}, {"made_up": "1"}],
)
def test_broken_requests_come_back_with_an_error(provider, change):
    """What the provider does not know or misses is told to the client, with the state as sent."""
    said = parse_qs(urlsplit(provider.ask(**change).headers["location"]).query)
    assert said["error"] == ["invalid_request"]
    assert said.get("state") == (["s" * 43] if "state" not in change else change["state"] and [change["state"]])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "openid made.up"}, "invalid_scope"),
    ],
)
def test_google_wants_pkce_and_known_scopes(google, change, error):
    """A challenge that is missing or not hashed, and a scope that does not exist, are refused."""
    assert parse_qs(urlsplit(google.ask(**change).headers["location"]).query)["error"] == [error]


def test_slack_and_notion_know_no_pkce(http, world):
    """A parameter that a provider does not have is refused, so a module that says `pkce: none` has to mean it."""
    for name in ("slack", "notion"):
        answer = Provider(http, world.players[name].login, name).ask(code_challenge=CHALLENGE)
        assert "error=invalid_request" in answer.headers["location"]


def test_saying_no(provider):
    """Denied is told with the state, and gives no code."""
    assert provider.decide(provider.ask(), "deny") == {"error": "access_denied", "state": "s" * 43}


@pytest.mark.parametrize("change", [{"redirect_uri": BACK + "x"}, {"code": "made-up"}, {"secret": "wrong"}])
def test_a_code_is_bound(provider, change):
    """Another address, a made-up code or a wrong secret give nothing."""
    assert refused(provider.exchange(**{"code": provider.code(), **change}))


def test_a_code_is_bound_to_its_verifier_and_its_minute(google):
    """Another verifier and a late exchange give nothing, and each spends the code."""
    code = google.code()
    assert refused(google.exchange(code, code_verifier="w" * 50)) == "invalid_grant"
    assert refused(google.exchange(code)) == "invalid_grant"
    code, now = google.code(), google.login.monotonic()
    google.login.monotonic = lambda: now + 61
    assert refused(google.exchange(code)) == "invalid_grant"


def test_google_keeps_its_refresh_token(google):
    """Only offline access gives one; it is told once, renews often, and ends with a revocation of any token."""
    assert "refresh_token" not in google.exchange(google.code(access_type="online")).json()
    first = google.exchange(google.code()).json()
    assert (first["expires_in"], DRIVE in first["scope"].split(" ")) == (3599, True)
    again = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    second = google.post(**again).json()
    assert "refresh_token" not in second
    assert google.login.accepts(second["access_token"])
    google.login.expire()
    assert not google.login.accepts(second["access_token"])
    assert google.http.post("/google/revoke", data={"token": first["access_token"]}).status_code == 200
    assert google.http.post("/google/revoke", data={"token": "made-up"}).status_code == 400
    assert refused(google.post(**again)) == "invalid_grant"


def test_notion_rotates_its_refresh_token(http, world):
    """Each renewal gives another refresh token; the one before ends everything when it is used again."""
    notion = Provider(http, world.players["notion"].login, "notion")
    first = notion.exchange(notion.code()).json()
    second = notion.post(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert refused(notion.post(grant_type="refresh_token", refresh_token=first["refresh_token"])) == "invalid_grant"
    assert not notion.login.accepts(second["access_token"])


def test_slack_has_nothing_to_refresh(http, world):
    """A bot's token stays until it is revoked, and the grant is unknown."""
    slack = Provider(http, world.players["slack"].login, "slack")
    tokens = slack.exchange(slack.code()).json()
    assert "refresh_token" not in tokens
    for told in ({"ok": True, "revoked": True}, {"ok": False, "error": "invalid_auth"}):
        assert http.post("/slack/api/auth.revoke", data={"token": tokens["access_token"]}).json() == told
    assert not slack.login.accepts(tokens["access_token"])
    assert refused(slack.post(grant_type="refresh_token", refresh_token="x")) == "invalid_grant_type"


def test_tokens_are_good_for_their_scopes(google, http, world):
    """A token of other scopes is refused by Drive and by Slack, each in its own way."""
    token = google.exchange(google.code(scope="openid email")).json()["access_token"]
    bearer = {"authorization": f"Bearer {token}"}
    assert http.get("/google/v1/userinfo", headers=bearer).json()["email"] == "demo@example.com"
    refusal = http.get("/google/drive/v3/files", headers=bearer)
    assert (refusal.status_code, refusal.json()["error"]["errors"][0]["reason"]) == (403, "insufficientPermissions")
    slack = Provider(http, world.players["slack"].login, "slack")
    bearer = {"authorization": f"Bearer {slack.exchange(slack.code()).json()['access_token']}"}
    assert http.get("/slack/api/conversations.list", headers=bearer).json() == {"ok": False, "error": "missing_scope"}
