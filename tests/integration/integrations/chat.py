"""A small chat service, and a client that calls it for Alice, with fakes between."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from taske_ray.clock import SystemClock
from taske_ray.core.call import Call
from taske_ray.core.capability import ConnectionValues, parse_module
from taske_ray.core.outcome import Succeeded
from taske_ray.errors import NotFound, Unavailable
from taske_ray.integrations.client import IntegrationClient
from taske_ray.integrations.egress import EgressGuard
from taske_ray.integrations.ports import OpenedConnection
from taske_ray.integrations.sending import Conduct
from taske_ray.integrations.transport import Transport
from taske_ray.limits import profiles
from tests.integration.integrations.conftest import reply, serving
from tests.unit.integrations.memory_tokens import MemoryTokens

ALICE, BOB, CONNECTION = UUID(int=1), UUID(int=2), UUID(int=10)
NOW = "2026-01-02T03:04:05Z"
SECRET = "xoxb-very-secret-token"
ALICES = OpenedConnection("chat", ConnectionValues("bot", {}, {"token": SECRET}), id=CONNECTION, owner=ALICE)


def document(port, **more):
    """A small service: one action, one list in pages, one poll, one that runs inside."""
    base = f"http://127.0.0.1:{port}"
    params = {"type": "object", "properties": {"text": {"type": "string"}, "room": {"type": "string"}}}
    return {
        "module": "chat",
        "name": "Chat",
        "base_url": base,
        "allowed_hosts": [f"127.0.0.1:{port}"],
        "auth": [
            {"id": "none", "type": "none"},
            {"id": "bot", "type": "bearer", "test": {"path": "/me"}, "label": "{{ response.body.name }}"},
        ],
        "capabilities": [
            {
                "capability": "chat.post",
                "kind": "action",
                "name": "Post",
                "params": params,
                "request": {"method": "POST", "path": "/post", "body": {"text": "{{ params.text }}"}},
                "response": {"output": {"id": "{{ response.body.id }}"}},
                "idempotency": {"class": "keyed"},
                "scopes": ["chat:write"],
            }
            | more,
            {
                "capability": "chat.list",
                "kind": "action",
                "name": "List",
                "params": params,
                "request": {"path": "/list"},
                "pagination": {
                    "type": "cursor",
                    "next": "{{ response.body.next }}",
                    "send": {"in": "query", "name": "c"},
                },
                "response": {"items": "{{ response.body.items }}", "output": {"all": "{{ items }}"}},
            },
            {
                "capability": "chat.new",
                "kind": "trigger",
                "name": "New",
                "params": params,
                "request": {"path": "/list"},
                "response": {"items": "{{ response.body.items }}", "item": {"n": "{{ item }}"}},
                "poll": {"every": "PT1M", "key": "{{ item }}"},
            },
        ],
    }


@dataclass
class FakeCapabilities:
    """One module in version 1."""

    chat: object
    away: bool = False

    async def pinned(self, capability, version):
        """The capability, if it is version 1 of it."""
        if self.away:
            raise Unavailable
        if version != 1 or capability not in self.chat.capabilities:
            raise NotFound
        return self.chat.capabilities[capability]

    async def module(self, module_id):
        """The module."""
        if module_id != self.chat.id:
            raise NotFound
        return self.chat


@dataclass
class FakeConnections:
    """One connection, of Alice."""

    opened: OpenedConnection = ALICES
    error: Exception | None = None
    marked: list = field(default_factory=list)

    async def open(self, user_id, connection_id):
        """Alice's own connection, or nothing."""
        if self.error:
            raise self.error
        if (user_id, connection_id) != (ALICE, CONNECTION):
            raise NotFound
        return self.opened

    async def mark_needs_reauth(self, opened, reason):
        """Remember it."""
        self.marked.append((opened.owner, opened.id, reason))


@dataclass
class World:
    """A client, the server behind it and the fakes between; `renewed` are the ends of calls' leases by now."""

    client: IntegrationClient
    server: object
    capabilities: FakeCapabilities
    connections: FakeConnections
    database: list
    renewed: dict

    def call(self, capability="chat.post", **more) -> Call:
        """A call of Alice's with her connection."""
        given = {"id": "c1", "user_id": ALICE, "version": 1, "params": {"text": "hi"}, "connection_id": CONNECTION}
        return Call(capability=capability, now=NOW, **{**given, "timeout_s": 5.0, **more})

    async def perform(self, capability="chat.post", **more):
        """Perform such a call."""
        return await self.client.perform(self.call(capability, **more))


@asynccontextmanager
async def world(answer, *, limits=profiles["default"], clock=None, own_urls=None, **more) -> AsyncIterator[World]:
    """A client whose only service answers with `answer`."""
    async with serving(answer) as server:
        capabilities = FakeCapabilities(parse_module(document(server.port, **more)))
        connections, database, renewed = FakeConnections(), [1000.0], {}
        client = IntegrationClient(
            capabilities=capabilities,
            connections=connections,
            tokens=MemoryTokens(),
            transport=Transport(guard=EgressGuard(["127.0.0.0/8"]), own_urls=own_urls(server.port) if own_urls else ()),
            clock=clock or SystemClock(),
            conduct=Conduct(limits=limits, lease_end=lambda call: renewed.get(call.id, call.lease_ends_at)),
            database_time=lambda: database[0],
            internal={"echo": _Echo()},
        )
        yield World(client, server, capabilities, connections, database, renewed)
        await client.close()


class _Echo:
    """An executor that says back what it was given."""

    async def perform(self, job):
        """Its parameters."""
        return Succeeded(dict(job.call.params))

    async def test(self, connection):
        """Whose it is."""
        return Succeeded({"label": connection.config["who"]})


def says(body, status="200 OK", *headers):
    """A server that always says this JSON."""

    async def answer(_, writer):
        writer.write(reply(json.dumps(body).encode(), "Content-Type: application/json", *headers, status=status))

    return answer


async def closes(_, writer):
    """A server that reads and closes."""
    writer.close()
