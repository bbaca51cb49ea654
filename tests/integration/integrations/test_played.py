"""The catalog's modules against the played providers, and other people's clients against the same providers."""

import asyncio
import json
from uuid import UUID

import httpx
import pytest
import stripe
from github import Auth, Github, GithubException

from taske_ray.catalog.registry import load_documents
from taske_ray.clock import SystemClock
from taske_ray.core.call import Call
from taske_ray.core.capability import ConnectionValues, parse_module
from taske_ray.core.capability.exchange.subscription import Gone, check, subscribe, unsubscribe
from taske_ray.core.outcome import ErrorClass, Failed, Fetched, Succeeded
from taske_ray.core.webhook import Accepted, Delivery, receive, reception
from taske_ray.integrations.client import IntegrationClient
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.ports import OpenedConnection
from taske_ray.integrations.transport import Transport
from taske_ray.standins.server import documents, start
from taske_ray.standins.world import World
from tests.unit.integrations.memory_tokens import MemoryTokens

NOW = "2026-01-05T00:30:00Z"
USER, CONNECTION = UUID(int=1), UUID(int=2)
SECRETS = {
    "github": ("pat", {}, {"token": "t0ken"}),
    "gitlab": ("token", {"host": "gitlab.com"}, {"token": "t0ken"}),
    "telegram": ("bot", {}, {"token": "t0ken"}),
    "notion": ("internal_token", {}, {"token": "t0ken"}),
    "stripe": ("secret_key", {}, {"token": "t0ken"}),
    "discord": ("bot", {}, {"token": "t0ken"}),
    "openai": ("api_key", {"host": "api.openai.com"}, {"token": "t0ken"}),
    "kakao": ("oauth", {}, {"access_token": "t0ken"}),
    "kma": ("own_key", {}, {"key": "t0ken"}),
}
REPO = {"owner": "octo", "repo": "hello"}


@pytest.fixture
def standins():
    """Running providers that know one token."""
    world = World()
    for player in world.players.values():
        player.tokens.add("t0ken")
    running = start(world=world)
    yield running
    running.stop()


class Everything:
    """The redirected catalog, and a connection to each of its modules."""

    def __init__(self, url, secrets):
        found = documents(load_documents(), url)
        for one in found:  # where the host is the connection's, the module is pointed at the stand-in itself
            if "{{" in one.get("base_url", ""):
                one["base_url"] = f"{url}/{one['module']}"
        self.modules = {one["module"]: parse_module(one) for one in found}
        self.secrets, self.connected = secrets, ""

    async def pinned(self, capability, _version):
        """The capability as the document says."""
        return self.modules[capability.partition(".")[0]].capabilities[capability]

    async def module(self, name):
        """The module as the document says."""
        return self.modules[name]

    async def open(self, _user, _connection):
        """The module's connection."""
        values = ConnectionValues(*self.secrets[self.connected])
        return OpenedConnection(module=self.connected, values=values, id=CONNECTION, owner=USER)

    async def mark_needs_reauth(self, opened, reason):
        """Nobody needs to know."""


@pytest.fixture
async def call(standins):
    """Calls a capability of the catalog with the module's connection."""
    catalog = Everything(standins.url, dict(SECRETS))
    client = IntegrationClient(
        capabilities=catalog,
        connections=catalog,
        tokens=MemoryTokens(),
        transport=Transport(guard=EgressGuard([standins.allow])),
        clock=SystemClock(),
        database_time=lambda: 0.0,
    )
    numbers = iter(range(1000))

    async def perform(name, params=None, **more):
        catalog.connected = name.partition(".")[0]
        capability = await catalog.pinned(name, 1)
        filled = capability.params.fill(params or {}, now=NOW)
        wanted = Call(
            f"c{next(numbers)}", USER, name, 1, filled, NOW, CONNECTION, run_id="run_1", step="action1", **more
        )
        return await client.perform(wanted)

    perform.catalog, perform.client = catalog, client
    yield perform
    await client.close()


ACTIONS = [
    ("github.issue.create", {**REPO, "title": "버그", "labels": ["bug"]}),
    ("github.issue.comment", {**REPO, "number": 1, "body": "확인"}),
    ("github.issue.list", REPO),
    ("github.lookup_repos", {}),
    ("gitlab.issue.create", {"project": "team/app", "title": "오류", "labels": ["p1"]}),
    ("gitlab.issue.comment", {"project": "team/app", "number": 1, "body": "확인"}),
    ("gitlab.lookup_projects", {"search": "app"}),
    ("telegram.message.send", {"chat_id": 1, "text": "안녕"}),
    ("notion.page.create", {"database_id": "22222222-2222-2222-2222-222222222222", "title": "회의록", "text": "첫 줄"}),
    ("notion.lookup_databases", {}),
    ("stripe.customer.create", {"email": "mina@example.com", "name": "미나", "metadata": {"plan": "pro"}}),
    ("stripe.payment_link.create", {"price": "price_1"}),
    ("stripe.lookup_prices", {}),
    ("discord.message.send", {"channel": "1100000000000000000", "content": "안녕"}),
    ("openai.chat", {"prompt": "안녕", "system": "짧게"}),
    ("openai.lookup_models", {}),
    ("kakao.talk.memo", {"text": '그가 "안녕"', "link": "https://example.com"}),
    ("kma.short_forecast", {"lat": 37.5, "lon": 127}),
    ("kma.observation", {"lat": 37.5, "lon": 127}),
]


@pytest.mark.parametrize(("name", "params"), ACTIONS, ids=[name for name, _ in ACTIONS])
async def test_every_action_is_what_the_provider_takes(call, name, params):
    """The request of each action passes the provider's own checks, and its answer fills the declared output."""
    outcome = await call(name, params)
    assert isinstance(outcome, Succeeded), outcome
    capability = await call.catalog.pinned(name, 1)
    assert outcome.warnings == ()
    assert all(outcome.output[each] is not None for each in capability.output.get("required", ()))


POLLS = [
    ("github.issue.new", REPO, "github.issue.create", {**REPO, "title": "새 이슈"}),
    ("gitlab.issue.new", {"project": "team/app"}, "gitlab.issue.create", {"project": "team/app", "title": "새 이슈"}),
    ("discord.message.new", {"channel": "1100000000000000000"}, "discord.message.send",
     {"channel": "1100000000000000000", "content": "새 글"}),
    ("notion.database.new_page", {"database_id": "22222222-2222-2222-2222-222222222222"}, "notion.page.create",
     {"database_id": "22222222-2222-2222-2222-222222222222", "title": "새 글"}),
]  # fmt: skip


@pytest.mark.parametrize(("poll", "watched", "action", "params"), POLLS, ids=[poll for poll, *_ in POLLS])
async def test_a_poll_sees_what_an_action_made(call, poll, watched, action, params):
    """What one action creates, the module's polling trigger finds, with a key and a cursor value."""
    assert isinstance(await call(action, params), Succeeded)
    cursor = {"from": "2026-01-05T00:00:00Z", "value": "2026-01-05T00:05:00Z"}
    found = await call(poll, watched, cursor=cursor)
    assert isinstance(found, Fetched), found
    assert [bool(item.key and item.cursor_value) for item in found.items] == [True]


async def test_pages_are_followed_to_their_end(call, standins):
    """Two hundred and fifty items arrive in order over several pages, by links and by the last item's id."""
    players = standins.world.players
    players["github"].collections["issues"] = [
        {**REPO, "id": n, "number": n, "title": f"t{n}", "updated_at": f"2026-01-05T{n // 60:02}:{n % 60:02}:00Z"}
        for n in range(250)
    ]
    listed = await call("github.issue.list", {**REPO, "max_items": 1000})
    assert [issue["number"] for issue in listed.output["issues"]] == list(range(250))
    players["stripe"].collections["prices"] = [{"id": f"price_{n}", "nickname": None} for n in range(250)]
    found = await call("stripe.lookup_prices")
    assert found.output["count"] == 250


@pytest.mark.parametrize("module", sorted(SECRETS))
async def test_wrong_credentials_limits_and_outages(call, standins, module):
    """A wrong token asks for a new one, a limit for patience, an outage for another try: at each provider."""
    name, params = next((name, params) for name, params in ACTIONS if name.startswith(f"{module}."))
    player = standins.world.players[module]
    player.fail_next = 1
    assert (await call(name, params)).error_class is ErrorClass.TRANSIENT
    player.refuse_next = 1
    limited = await call(name, params)
    assert limited.error_class is ErrorClass.RATE_LIMITED, limited
    if module == "kakao":
        return  # a token that can be refreshed: test_token_keeper.py
    player.tokens.clear()
    refused = await call(name, params)
    assert isinstance(refused, Failed)
    assert refused.error_class is ErrorClass.AUTH_REVOKED, refused
    assert "t0ken" not in json.dumps([refused.message, refused.request])


async def test_a_wrong_request_fails_as_there(standins):
    """An unknown parameter, a wrong type, a missing field, a wrong content type, a missing header: each is refused."""
    headers = {"authorization": "Bearer t0ken"}
    async with httpx.AsyncClient(base_url=standins.url) as http:
        asked = [
            http.get("/github/repos/octo/hello/issues?colour=red", headers=headers),
            http.get("/github/repos/octo/hello/issues?per_page=many", headers=headers),
            http.post("/github/repos/octo/hello/issues", json={"body": "no title"}, headers=headers),
            http.post("/github/repos/octo/hello/issues", json={"title": 7}, headers=headers),
            http.post("/stripe/v1/customers", json={"email": "a@example.com"}, headers=headers),
            http.get("/stripe/v1/prices?limit=1000", headers=headers),
            http.get("/notion/v1/users/me", headers=headers),
            http.post("/telegram/bott0ken/sendMessage", json={"chat_id": 1}),
        ]
        answers = [(await one).status_code for one in asked]
    assert answers == [422, 422, 422, 422, 400, 400, 400, 400]


async def test_a_registered_webhook_is_signed_as_the_provider_signs(call, standins):
    """Subscribed by the module, an event that the provider signs is genuine; ended, nothing is sent any more."""
    event = call.catalog.modules["github"].capabilities["github.repo.event"]
    player = standins.world.players["github"]
    params = event.params.fill({**REPO, "events": ["issues"]}, now=NOW)
    call.catalog.connected = "github"
    about = Call("s1", USER, event.id, 1, params, NOW, CONNECTION, timeout_s=10)
    url, made = "https://taske.example/hooks/x", {"secret": "5" * 64}

    def talk(kind, **state):
        return lambda context: kind(event, context, url=url, **state)

    registered = await call.client.register(event, about, talk(subscribe, generated=made))
    assert isinstance(await call("github.issue.create", {**REPO, "title": "이벤트"}), Succeeded)
    [sent] = player.deliveries
    rules = reception(event.webhook, scope={"params": params, "hook": {"state": registered.state}})
    delivery = Delivery("POST", "/hooks/x", sent.body, NOW, sent.headers)
    found = receive(delivery, rules, SystemClock().now())
    assert isinstance(found, Accepted)
    assert (found.events[0].key, found.events[0].output["payload"]["issue"]["title"]) == ("delivery-2", "이벤트")
    assert await call.client.register(event, about, talk(check, state=registered.state)) == registered
    assert await call.client.register(event, about, talk(unsubscribe, state=registered.state)) == Gone()
    assert await call.client.register(event, about, talk(check, state=registered.state)) == Gone()
    assert isinstance(await call("github.issue.create", {**REPO, "title": "still"}), Succeeded)
    assert len(player.deliveries) == 1


async def test_stripe_gives_the_same_answer_to_the_same_key(call):
    """Sent again under the step's key, a customer is made once."""
    keys = ("run_1:action1", "run_1:action1", "run_2:action1")
    first, second, other = [await call("stripe.customer.create", {"name": "x"}, idempotency_key=key) for key in keys]
    assert first.output == second.output != other.output


async def test_other_peoples_clients_find_their_providers(standins):
    """PyGithub and stripe's own library read, write, page and are refused as at the providers."""

    def with_pygithub():
        client = Github(auth=Auth.Token("t0ken"), base_url=f"{standins.url}/github", per_page=2)
        repo = client.get_repo("octo/hello")
        for number in range(5):
            repo.create_issue(title=f"t{number}", body="text")
        listed = [issue.title for issue in repo.get_issues(state="all", sort="updated", direction="asc")]
        with pytest.raises(GithubException) as refused:
            Github(auth=Auth.Token("wrong"), base_url=f"{standins.url}/github", retry=None).get_user().login  # noqa: B018 - asks
        return listed, refused.value.status

    def with_stripe():
        client = stripe.StripeClient("t0ken", base_addresses={"api": f"{standins.url}/stripe"})
        made = client.v1.customers.create({"email": "mina@example.com"})
        prices = client.v1.prices.list({"limit": 1})
        return made.email, [price.id for price in prices.auto_paging_iter()]

    assert await asyncio.to_thread(with_pygithub) == ([f"t{number}" for number in range(5)], 401)
    assert await asyncio.to_thread(with_stripe) == ("mina@example.com", ["price_1", "price_2"])
