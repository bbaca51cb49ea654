"""Every way in which a URL that somebody else chose becomes a request, driven with the real client (security, 19.4).

A sink is a function `(stand, url) -> outcome`. A new place in the tree that sends requests needs a row in
`tests/unit/test_sinks.py`, which names the sinks here that drive it.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from taske_ray.catalog.registry import load_modules
from taske_ray.clock import SystemClock
from taske_ray.core.call import Call
from taske_ray.core.capability import Capability, ConnectionValues, Module, parse_module
from taske_ray.core.url import BadUrl, parse_url
from taske_ray.errors import NotFound
from taske_ray.integrations.client import IntegrationClient
from taske_ray.integrations.ports import OpenedConnection
from taske_ray.integrations.transport import Transport
from tests.unit.integrations.memory_tokens import MemoryTokens

USER, CONNECTION = UUID(int=1), UUID(int=2)
NOW = "2026-01-02T03:04:05Z"
CANARY = "canary-credential-that-goes-nowhere-else"
_any_url = {"type": "object", "properties": {"url": {"type": "string"}}}
_from = "{{ params.url }}"


def _action(name: str, **parts: Any) -> dict[str, Any]:
    return {"capability": f"place.{name}", "kind": "action", "name": name, "params": _any_url, **parts}


_place = {
    "module": "place",
    "name": "Place",
    "allowed_hosts": ["*"],
    "base_url": "https://{{ conn.config.host }}",
    "auth": [
        {"id": "none", "type": "none"},
        {
            "id": "key",
            "type": "headers",
            "allowed_hosts": "{{ conn.config.hosts }}",
            "apply": {"headers": {"x-key": "{{ conn.secret.token }}"}},
            "test": {"url": "{{ conn.config.url }}"},
            "fields": {
                "type": "object",
                "properties": {
                    "url": {"type": "string"},
                    "host": {"type": "string"},
                    "hosts": {"type": "array"},
                    "token": {"type": "string", "x-secret": True},
                },
            },
        },
    ],
    "capabilities": [
        _action("url", request={"url": _from}),
        _action("post", request={"url": _from, "method": "POST", "body": {"a": 1}}),
        _action("site", request={"path": "/"}, auth=["key"]),
        _action(
            "pre",
            pre=[{"id": "first", "request": {"url": _from}}],
            request={"url": "http://93.184.215.14/after-pre"},
        ),
        _action(
            "pages",
            request={"url": "http://93.184.215.14/page", "query": {"next": _from}},
            response={"items": "{{ response.body.items }}"},
            pagination={"type": "next_url", "next": "{{ response.body.next }}"},
        ),
        _action("redirect", request={"url": "http://93.184.215.14/redirect", "query": {"to": _from}}),
        _action("hops", request={"url": "http://93.184.215.14/hops", "query": {"to": _from}}),
        {
            "capability": "place.find",
            "kind": "lookup",
            "name": "find",
            "params": _any_url,
            "request": {"url": _from},
            "response": {"items": "{{ response.body.items }}", "item": {"value": "{{ item }}", "label": "{{ item }}"}},
        },
    ],
}


@dataclass
class Stand:
    """A client over the modules of the catalog and `place`, and a connection that holds what a sink puts there."""

    transport: Transport
    config: dict[str, Any]

    def __post_init__(self) -> None:
        self.modules: dict[str, Module] = {**load_modules(), "place": parse_module(_place)}
        self.client = IntegrationClient(
            capabilities=self,
            connections=self,
            tokens=MemoryTokens(),
            transport=self.transport,
            clock=SystemClock(),
            database_time=lambda: 0.0,
        )

    async def pinned(self, capability: str, _version: int) -> Capability:
        """As the catalog."""
        return self.modules[capability.partition(".")[0]].capabilities[capability]

    async def module(self, module_id: str) -> Module:
        """As the catalog."""
        return self.modules[module_id]

    async def open(self, user_id: UUID, connection_id: UUID) -> OpenedConnection:
        """The one connection."""
        if (user_id, connection_id) != (USER, CONNECTION):
            raise NotFound
        return OpenedConnection("place", ConnectionValues("key", dict(self.config), {"token": CANARY}))

    async def mark_needs_reauth(self, *_: Any) -> None:
        """Nothing to remember."""

    async def perform(self, capability: str, params: dict[str, Any], **more: Any) -> Any:
        """A call as a run host makes it."""
        call = Call(uuid4().hex, USER, capability, 1, params, NOW, timeout_s=8.0)
        return await self.client.perform(replace(call, **more))


Sink = Callable[[Stand, str], Awaitable[Any]]


def _of_place(name: str) -> Sink:
    async def sink(stand: Stand, url: str) -> Any:
        return await stand.perform(f"place.{name}", {"url": url})

    return sink


async def _http_action(stand: Stand, url: str) -> Any:
    return await stand.perform("http.request", {"method": "GET", "url": url, "encoding": "auto", "any_status": True})


async def _http_invoked(stand: Stand, url: str) -> Any:
    params = {"method": "GET", "url": url, "encoding": "auto", "any_status": True}
    return await stand.perform("http.request", params, run_id="invoke_1", step="invoke", idempotency_key="invoke_1")


async def _http_poll(stand: Stand, url: str) -> Any:
    return await stand.perform("http.poll", {"method": "GET", "url": url, "items": "", "every": "PT5M"})


async def _connection_test(stand: Stand, url: str) -> Any:
    stand.config = {"url": url, "hosts": [_place_of(url)]}
    return await stand.client.test_connection(USER, CONNECTION)


async def _base_url(stand: Stand, url: str) -> Any:
    stand.config = {"host": url.partition("://")[2].partition("/")[0], "hosts": [_place_of(url)]}
    return await stand.perform("place.site", {}, connection_id=CONNECTION)


def _place_of(url: str) -> str:
    """The host binding that would let exactly this URL pass."""
    try:
        parsed = parse_url(url)
    except BadUrl:
        return "nowhere.example"
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    return f"{host}:{parsed.port}"


SINKS: dict[str, Sink] = {
    "action": _of_place("url"),
    "action with a body": _of_place("post"),
    "http.request": _http_action,
    "invoke": _http_invoked,
    "lookup": _of_place("find"),
    "poll": _http_poll,
    "request before the request": _of_place("pre"),
    "next page": _of_place("pages"),
    "redirect": _of_place("redirect"),
    "redirect after redirects": _of_place("hops"),
    "connection test": _connection_test,
    "base URL of a connection": _base_url,
}
BEHIND_A_REQUEST = frozenset({"next page", "redirect", "redirect after redirects"})
"""Sinks whose first request goes to the public stand-in, which then names the URL."""


def public_answer(target: str) -> bytes:
    """What the public stand-in says: pages and redirects to wherever the query says."""
    from urllib.parse import parse_qs, urlsplit

    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.path == "/redirect" and "to" in query:
        return _response(302, b"", f"Location: {query['to']}")
    if parts.path == "/hops" and "to" in query:
        left = int(query.get("left", 3))
        from urllib.parse import urlencode

        again = f"/hops?{urlencode({'to': query['to'], 'left': left - 1})}"
        return _response(307, b"", f"Location: {again if left else query['to']}")
    body = {"items": [1], "next": query.get("next")}
    return _response(200, json.dumps(body).encode(), "Content-Type: application/json")


def _response(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} So", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("utf-8", "replace") + body
