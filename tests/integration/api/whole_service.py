"""The whole service behind one address, who calls it, and one of everything that has an id."""

import json
from dataclasses import dataclass

import httpx

from deployments.console.app import document
from taske_ray.clock import new_id
from taske_ray.core.ids import format_id, parse_id
from taske_ray.core.outcome import Succeeded

URL = "http://taske.test"
API = document(URL)
OPERATIONS = [(verb.upper(), path, op) for path, verbs in API["paths"].items() for verb, op in verbs.items()]
CRON = {"capability": "system.schedule.cron", "params": {"cron": "0 9 * * *", "timezone": "Asia/Seoul"}}
CALL = {"capability": "http.request", "params": {"url": "https://example.com/"}}
TASK = {"name": "mine", "trigger": CRON, "actions": [CALL]}
SLACK = {"capability": "slack.chat.post_message", "params": {"channel": "C1", "text": "hi"}}


@dataclass
class Caller:
    """Somebody who sends requests to the whole service."""

    http: httpx.AsyncClient
    headers: dict[str, str]

    async def send(self, verb, path, body=None, **ids):
        """The answer to one request."""
        given = {} if body is None else {"json": body}
        return await self.http.request(verb, path.format(**ids), headers=self.headers, **given)

    async def made(self, verb, path, body=None):
        """The JSON answer to a request that must succeed."""
        answer = await self.send(verb, path, body)
        assert answer.is_success, answer.text
        return answer.json()


class Front:
    """All applications behind one address, as HAProxy has them."""

    def __init__(self, apps):
        self._apps = apps

    async def __call__(self, scope, receive, send):
        """Hand a request to the application of its prefix."""
        prefix = next(prefix for prefix in self._apps if scope["path"].startswith(prefix))
        await self._apps[prefix]({**scope, "root_path": prefix.rstrip("/")}, receive, send)


class Things:
    """Makes one of everything that has an id, for its owner."""

    def __init__(self, database, calls):
        self._database = database
        self._calls = calls

    async def of(self, owner, parameter, path):
        """The id of a fresh thing with which the operation at `path` succeeds for its owner."""
        make = getattr(self, parameter, None)
        assert make is not None, f"{parameter}: tell Things how such an id is made, or name it in OF_NOBODY"
        return await make(owner, path)

    async def task_id(self, owner, path):
        """A scheduled task; for its hook one with a webhook."""
        trigger = {"capability": "system.webhook"} if path.endswith("/rotate-hook") else CRON
        return (await owner.made("POST", "/api/v1/tasks", {**TASK, "trigger": trigger}))["id"]

    async def run_id(self, owner, path):
        """A queued run; to be resolved one that needs it."""
        task_id = await self.task_id(owner, "")
        run_id = (await owner.made("POST", f"/api/v1/tasks/{task_id}/run"))["run_id"]
        if path.endswith("/resolve"):
            values = {"id": parse_id("run", run_id)}
            await self._database.fetch("UPDATE runs SET status = 'needs_attention' WHERE id = %(id)s", values)
            await self._database.fetch(
                "INSERT INTO steps (run_id, step, key, capability, status)"
                " VALUES (%(id)s, 1, 'action1', 'http.request', 'unknown')",
                values,
            )
        return run_id

    async def connection_id(self, owner, _path):
        """A connection, whose test will succeed."""
        self._calls.outcomes = [Succeeded({"label": "mine"})] * 10
        fields = {"module": "slack", "auth": "bot_token", "name": "mine", "fields": {"token": "xoxb-1234567890"}}
        return (await owner.made("POST", "/api/v1/connections", fields))["id"]

    async def instance_connection_id(self):
        """A connection of the instance itself."""
        values = {"id": new_id()}
        await self._database.fetch(
            "INSERT INTO connections (id, module, auth, name) VALUES (%(id)s, 'slack', 'bot_token', 'ours')", values
        )
        return format_id("conn", values["id"])

    async def authorization_id(self, owner, _path):
        """A connection that waits for its owner's consent."""
        authorization_id, values = new_id(), {"user": parse_id("user", (await owner.made("GET", "/auth/me"))["id"])}
        await self._database.fetch(
            "INSERT INTO connection_authorizations (id, user_id, connection_id, connection_owner, module, auth, name,"
            " redirect_uri, expires_at) VALUES (%(id)s, %(user)s, %(id)s, %(user)s, 'google', 'oauth', 'mine',"
            " 'https://x/', now() + interval '1 hour')",
            values | {"id": authorization_id},
        )
        return format_id("authorization", authorization_id)

    async def key_id(self, owner, _path):
        """An API key."""
        return (await owner.made("POST", "/auth/api-keys", {"name": "mine"}))["id"]

    async def identity_id(self, owner, _path):
        """A login at a provider."""
        values = {"user": parse_id("user", (await owner.made("GET", "/auth/me"))["id"]), "id": new_id()}
        await self._database.fetch(
            "INSERT INTO identities (issuer, subject, id, user_id, provider)"
            " VALUES ('https://id.example.com', %(id)s::text, %(id)s, %(user)s, 'corp')",
            values,
        )
        return format_id("identity", values["id"])

    async def session_id(self, owner, _path):
        """The session of the owner."""
        return (await owner.made("GET", "/auth/sessions"))["items"][0]["id"]


def stranger_view(answer, *ids):
    """What a caller can tell of an answer: all of it but the id they sent and the name of the request."""
    text = answer.text
    for one in ids:
        text = text.replace(one, "<id>")
    body = json.loads(text) if text else None
    if isinstance(body, dict):
        body.pop("request_id", None)
    headers = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-length")}
    return answer.status_code, headers, body
