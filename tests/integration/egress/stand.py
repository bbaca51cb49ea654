"""A client of the product over the modules of the catalog and one of our own, with a connection that a sink makes."""

import ssl
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any
from uuid import UUID, uuid4

from taske_ray.catalog.registry import load_modules
from taske_ray.clock import SystemClock
from taske_ray.core.call import Call
from taske_ray.core.capability import Capability, Module, parse_module
from taske_ray.core.url import BadUrl, parse_url
from taske_ray.integrations.client import IntegrationClient
from taske_ray.integrations.executors.imap import Imap
from taske_ray.integrations.executors.postgres import Postgres
from taske_ray.integrations.executors.smtp import SmtpAccount
from taske_ray.integrations.transport import Transport
from tests.unit.integrations.memory_tokens import USER, MemoryTokens

PUBLIC = "93.184.215.14"
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
            request={"url": f"http://{PUBLIC}/after-pre"},
        ),
        _action(
            "pages",
            request={"url": f"http://{PUBLIC}/page", "query": {"next": _from}},
            response={"items": "{{ response.body.items }}"},
            pagination={"type": "next_url", "next": "{{ response.body.next }}"},
        ),
        _action("redirect", request={"url": f"http://{PUBLIC}/redirect", "query": {"to": _from}}),
        _action("hops", request={"url": f"http://{PUBLIC}/hops", "query": {"to": _from}}),
        {
            "capability": "place.hook",
            "kind": "trigger",
            "execution": "webhook",
            "name": "hook",
            "params": _any_url,
            "webhook": {
                "mode": "subscribe",
                "verify": [],
                "subscribe": {"request": {"url": _from, "method": "POST"}},
            },
        },
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


@cache
def _catalog() -> dict[str, Module]:
    return {**load_modules(), "place": parse_module(_place)}


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


@dataclass
class Stand:
    """A client as the product puts it together; connections and their tokens are in memory."""

    transport: Transport
    tokens: MemoryTokens = field(default_factory=MemoryTokens)

    def __post_init__(self) -> None:
        self.modules: dict[str, Module] = dict(_catalog())
        self.client = IntegrationClient(
            capabilities=self,
            connections=self.tokens,
            tokens=self.tokens,
            transport=self.transport,
            clock=SystemClock(),
            database_time=SystemClock().now().timestamp,
            internal={
                "smtp_account": SmtpAccount(self.transport, context=_trust()),
                "imap": Imap(self.transport, context=_trust()),
                "postgres": Postgres(self.transport),
            },
        )

    async def pinned(self, capability: str, _version: int) -> Capability:
        """As the catalog."""
        return self.modules[capability.partition(".")[0]].capabilities[capability]

    async def module(self, module_id: str) -> Module:
        """As the catalog."""
        return self.modules[module_id]

    def connected(self, module: str, auth: str, config: dict[str, Any], **secret: str) -> UUID:
        """A connection of the user's, by its id."""
        return self.tokens.add(auth, {"token": CANARY, **secret}, module=module, config=config)

    def call(self, capability: str, params: dict[str, Any], **more: Any) -> Call:
        """A call as a run host makes it."""
        return replace(Call(uuid4().hex, USER, capability, 1, params, NOW, timeout_s=8.0), **more)

    async def perform(self, capability: str, params: dict[str, Any], **more: Any) -> Any:
        """What comes of such a call."""
        return await self.client.perform(self.call(capability, params, **more))


def bound_to(url: str) -> str:
    """The host binding that would let exactly this URL pass."""
    try:
        parsed = parse_url(url)
    except BadUrl:
        return "nowhere.example"
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    return f"{host}:{parsed.port}"


def secure(url: str) -> str:
    """Plain http would be refused before anybody looks at the host."""
    return url.replace("http://", "https://", 1)
