"""The stand-ins answer as the providers do, and the catalog's own modules work against them."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

import pytest

from taske_ray.catalog.registry import load_documents
from taske_ray.clock import SystemClock
from taske_ray.core.call import Call
from taske_ray.core.capability import ConnectionValues, parse_module
from taske_ray.core.http import HttpRequest
from taske_ray.core.outcome import ErrorClass, Succeeded
from taske_ray.errors import NotFound, StartRefused
from taske_ray.integrations.client import IntegrationClient
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.ports import OpenedConnection
from taske_ray.integrations.transport import Transport
from taske_ray.standins.drive_query import BadQuery, read_query
from taske_ray.standins.server import documents, start
from taske_ray.standins.world import (
    Channel,
    Drive,
    DriveFile,
    Slack,
    World,
    demo_channel,
    demo_folder,
    demo_google_token,
    demo_slack_token,
    demo_world,
)
from tests.unit.integrations.memory_tokens import MemoryTokens

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
USER = UUID(int=1)


def a_file(name="plan", days=1, **more):
    """A file that changed some days ago."""
    return DriveFile(name, name, more.pop("folder", "f"), NOW - timedelta(days=days), **more)


@pytest.fixture
def standins():
    """Running stand-ins with twelve files and a few channels."""
    files = [a_file(f"file {n:02}", n) for n in range(1, 13)]
    world = World(
        Drive(tokens={"g"}, folders={"f", "O'Neil"}, files=files),
        Slack(
            tokens={"s"}, channels=[Channel("C1", "one"), Channel("C2", "two", joined=False), Channel("C3", "three")]
        ),
    )
    running = start(world=world)
    yield running
    running.stop()


@pytest.fixture
async def ask(standins):
    """Ask them over the wire: (status, headers, body)."""
    transport = Transport(guard=EgressGuard([standins.allow]))

    async def asked(method, path, token=None, body=None, **query):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        content = None if body is None else json.dumps(body).encode()
        if content is not None:
            headers["content-type"] = "application/json"
        url = f"{standins.url}{path}" + (f"?{urlencode(query)}" if query else "")
        response = await transport.send(HttpRequest(method, url, headers, content), timeout_s=10)
        return response.status, response.headers, json.loads(response.body)

    yield asked
    await transport.close()


@pytest.mark.parametrize(
    ("q", "matches"),
    [
        ("", True),
        ("'f' in parents", True),
        ("'g' in parents", False),
        ("trashed = false", True),
        ("trashed=true", False),
        ("name contains 'plan'", True),
        ("name contains 'PLA'", True),
        ("name contains 'lan'", False),
        ("name contains '기획'", True),
        ('name contains "plan"', None),
        ("name = 'plan 기획서'", True),
        ("name != 'plan 기획서'", False),
        ("mimeType = 'text/plain'", False),
        ("modifiedTime > '2026-01-13T00:00:00Z'", True),
        ("modifiedTime > '2026-01-13T00:00:00'", True),
        ("modifiedTime < '2026-01-13T00:00:00+09:00'", False),
        ("modifiedTime > 'yesterday'", None),
        ("'f' in parents and trashed = false and not name contains 'x'", True),
        ("('g' in parents or 'f' in parents) and trashed = false", True),
        ("'g' in parents or 'f' in parents and trashed = true", False),
        ("'f' in parents and", None),
        ("'f' parents", None),
        ("f in parents", None),
        ("color = 'red'", None),
        ("name = 'a' 'b'", None),
        ("(trashed = false", None),
        ("trashed = maybe", None),
        ("name contains 'O'Neil'", None),
        (r"name contains 'O\'Neil'", False),
        (r"name contains 'a\n'", None),
        ("name > 'a'", None),
    ],
)
def test_the_search_language(q, matches):
    """Google's search language, and None for what Google refuses."""
    file = a_file("plan 기획서", 1)
    if matches is None:
        with pytest.raises(BadQuery):
            read_query(q)
    else:
        assert read_query(q).matches(file) is matches


async def test_drive_lists_pages_in_order(ask):
    """Three pages of five, most recent first, with the fields that were asked for."""
    seen, token = [], None
    for _ in range(3):
        more = {"pageToken": token} if token else {}
        status, _, body = await ask(
            "GET", "/google/drive/v3/files", "g", q="'f' in parents", orderBy="modifiedTime desc", pageSize=5,
            fields="nextPageToken,files(id,name)", **more,
        )  # fmt: skip
        assert status == 200
        seen += body["files"]
        token = body.get("nextPageToken")
    assert token is None
    assert seen == [{"id": f"file {n:02}", "name": f"file {n:02}"} for n in range(1, 13)]


async def test_drive_answers_little_unless_asked(ask):
    """Without `fields` there is no modifiedTime."""
    _, _, body = await ask("GET", "/google/drive/v3/files", "g", pageSize=1)
    assert set(body["files"][0]) == {"kind", "id", "name", "mimeType"}


@pytest.mark.parametrize(
    ("query", "location"),
    [
        ({"q": "nonsense"}, "q"),
        ({"orderBy": "color"}, "orderBy"),
        ({"pageSize": 0}, "pageSize"),
        ({"pageSize": 1001}, "pageSize"),
        ({"pageToken": "???"}, "pageToken"),
        ({"fields": "files(color)"}, "fields"),
        ({"fields": "files("}, "fields"),
    ],
)
async def test_drive_refuses_wrong_parameters(ask, query, location):
    """A wrong parameter is a 400 in Google's form, naming it."""
    status, _, body = await ask("GET", "/google/drive/v3/files", "g", **query)
    assert (status, body["error"]["errors"][0]["location"]) == (400, location)


async def test_drive_errors(ask, standins):
    """No token is 401, an unknown folder 404, and the account's limit 403 with its reason."""
    assert (await ask("GET", "/google/drive/v3/files"))[0] == 401
    assert (await ask("GET", "/google/drive/v3/files", "wrong"))[0] == 401
    assert (await ask("GET", "/google/drive/v3/files", "g", q="'nowhere' in parents"))[0] == 404
    standins.world.drive.refuse_next = 1
    status, _, body = await ask("GET", "/google/drive/v3/files", "g")
    assert (status, body["error"]["errors"][0]["reason"]) == (403, "userRateLimitExceeded")
    standins.world.drive.fail_next = 1
    assert (await ask("GET", "/google/drive/v3/files", "g"))[0] == 503
    assert (await ask("GET", "/google/v1/userinfo", "g"))[2]["email"] == "demo@example.com"


@pytest.mark.parametrize(
    ("token", "body", "error"),
    [
        (None, {"channel": "C1", "text": "x"}, "not_authed"),
        ("wrong", {"channel": "C1", "text": "x"}, "invalid_auth"),
        ("s", {"channel": "C9", "text": "x"}, "channel_not_found"),
        ("s", {"text": "x"}, "channel_not_found"),
        ("s", {"channel": "C2", "text": "x"}, "not_in_channel"),
        ("s", {"channel": "C1"}, "no_text"),
        ("s", {"channel": "C1", "text": "x", "thread_ts": "1.2"}, "thread_not_found"),
        ("s", [], "json_not_object"),
    ],
)
async def test_slack_refuses_with_200(ask, token, body, error):
    """Slack's refusals are 200 with ok false and a name."""
    assert (await ask("POST", "/slack/api/chat.postMessage", token, body))[::2] == (200, {"ok": False, "error": error})


async def test_slack_takes_one_message_a_second(ask, standins):
    """The second message within a second is 429 with Retry-After; another channel is not concerned."""
    post = "/slack/api/chat.postMessage"
    status, _, body = await ask("POST", post, "s", {"channel": "#one", "text": "안녕"})
    assert (status, body["ok"], body["channel"]) == (200, True, "C1")
    status, headers, body = await ask("POST", post, "s", {"channel": "#one", "text": "again"})
    assert (status, headers["retry-after"], body["error"]) == (429, "1", "ratelimited")
    assert (await ask("POST", post, "s", {"channel": "C3", "text": "x"}))[2]["ok"]
    assert [message["text"] for message in standins.world.slack.messages] == ["안녕", "x"]


async def test_slack_lists_channels_in_pages(ask):
    """Channels come in pages by cursor; who we are is told by auth.test."""
    _, _, first = await ask("GET", "/slack/api/conversations.list", "s", limit=2)
    cursor = first["response_metadata"]["next_cursor"]
    _, _, second = await ask("GET", "/slack/api/conversations.list", "s", limit=2, cursor=cursor)
    assert [channel["id"] for channel in first["channels"] + second["channels"]] == ["C1", "C2", "C3"]
    assert second["response_metadata"]["next_cursor"] == ""
    assert (await ask("POST", "/slack/api/auth.test", "s"))[2]["team"] == "Taske demo"


def test_only_addresses_are_replaced():
    """A document that points at the stand-ins keeps its scopes and its link to the documentation."""
    shipped = next(doc for doc in load_documents() if doc["module"] == "google")
    (played,) = documents([shipped], "http://127.0.0.1:9")
    assert played["base_url"].startswith("http://127.0.0.1:9/")
    assert played["docs_url"] == shipped["docs_url"]
    assert [one.get("scopes") for one in played["capabilities"]] == [
        one.get("scopes") for one in shipped["capabilities"]
    ]


async def test_everything_received_is_written_down(ask, standins):
    """Tests can look at every request as it arrived."""
    await ask("POST", "/slack/api/chat.postMessage", "s", {"channel": "C1", "text": "x"}, a="b")
    [received] = standins.received
    assert (received.method, received.path, received.query) == ("POST", "/slack/api/chat.postMessage", {"a": "b"})
    assert received.headers["authorization"] == "Bearer s"
    assert json.loads(received.body) == {"channel": "C1", "text": "x"}


def test_a_taken_port_is_told(standins):
    """Starting on a port in use says so."""
    with pytest.raises(StartRefused):
        start(port=int(standins.allow.rpartition(":")[2]))


class Catalog:
    """The catalog's documents, pointed at the stand-ins."""

    def __init__(self, docs):
        self.modules = {doc["module"]: parse_module(doc) for doc in docs}

    async def pinned(self, capability, _version):
        """The capability of any module."""
        for module in self.modules.values():
            if capability in module.capabilities:
                return module.capabilities[capability]
        raise NotFound

    async def module(self, module_id):
        """A module."""
        return self.modules[module_id]


CONNECTIONS = {
    UUID(int=10): OpenedConnection("google", ConnectionValues("access_token", {}, {"token": demo_google_token})),
    UUID(int=11): OpenedConnection("slack", ConnectionValues("bot_token", {}, {"token": demo_slack_token})),
}


class Connections:
    """The demo's two connections."""

    async def open(self, _user_id, connection_id):
        """By id."""
        return CONNECTIONS[connection_id]

    async def mark_needs_reauth(self, *_):
        """Not reached here."""
        raise AssertionError


async def test_the_catalog_works_against_the_stand_ins():
    """The demo's own task: planning documents changed in the last week are found, and a message is posted."""
    running = start(world=demo_world(NOW))
    client = IntegrationClient(
        capabilities=Catalog(documents(load_documents(), running.url)),
        connections=Connections(),
        tokens=MemoryTokens(),
        transport=Transport(guard=EgressGuard([running.allow])),
        clock=SystemClock(),
        database_time=lambda: 0.0,
    )

    async def perform(capability, connection, call_id, **params):
        call = Call(call_id, USER, capability, 1, params, NOW.isoformat(), connection_id=UUID(int=connection))
        return await client.perform(call)

    week_ago = (NOW - timedelta(days=7)).isoformat()
    listed = await perform(
        "google.drive.list_files",
        10,
        "a",
        folder_id=demo_folder,
        name_contains="기획서",
        modified_after=week_ago,
        max_items=100,
    )
    posted = await perform("slack.chat.post_message", 11, "b", channel=demo_channel, text="세 개")
    unknown = await perform("slack.chat.post_message", 11, "c", channel="C-NONE", text="x")
    tests = await asyncio.gather(*(client.test_connection(USER, UUID(int=n)) for n in (10, 11)))
    await client.close()
    running.stop()
    assert listed.output["count"] == 3
    assert {file["name"] for file in listed.output["fileList"]} == {
        "신제품 기획서",
        "2분기 마케팅 기획서",
        "앱 개편 기획서 v2",
    }
    assert posted.output["channel"] == demo_channel
    assert unknown.error_class is ErrorClass.NOT_FOUND
    assert all(isinstance(test, Succeeded) for test in tests), tests
    assert [test.output["label"] for test in tests] == ["demo@example.com", "Taske demo"]
