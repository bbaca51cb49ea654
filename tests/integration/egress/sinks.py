"""Every way in which a place that somebody else chose is connected to, driven with the real client (security, 19.4).

A sink is a function `(stand, url) -> outcome`. A new place in the tree that sends requests needs a row in
`tests/unit/test_sinks.py`, which names the sinks here that drive it.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID

from taske_ray.core.capability import CallContext
from taske_ray.core.capability.exchange.subscription import Conversation, subscribe
from tests.integration.egress import consents, provider
from tests.integration.egress.stand import Stand, bound_to
from tests.unit.integrations.memory_tokens import USER

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
    connection = stand.connected("place", "key", {"url": url, "hosts": [bound_to(url)]})
    return await stand.client.test_connection(USER, connection)


async def _base_url(stand: Stand, url: str) -> Any:
    config = {"host": url.partition("://")[2].partition("/")[0], "hosts": [bound_to(url)]}
    return await stand.perform("place.site", {}, connection_id=stand.connected("place", "key", config))


async def _registration(stand: Stand, url: str) -> Any:
    """As the keeper of registrations has it (`actors/subscriptions.py`)."""
    hook = stand.modules["place"].capabilities["place.hook"]

    def talk(context: CallContext) -> Conversation:
        return subscribe(hook, context, url="https://taske.example/hooks/token", generated={})

    return await stand.client.register(hook, stand.call(hook.id, {"url": url}), talk)


def _account(stand: Stand, module: str, auth: str, url: str) -> UUID:
    host, port = _server_of(url)
    config = {"host": host, "port": port, "username": "mina", "from": "mina@example.com", "database": "shop"}
    return stand.connected(module, auth, config, password="a password")


async def _smtp(stand: Stand, url: str) -> Any:
    mail = {"to": ["bob@example.com"], "subject": "s", "text": "t"}
    return await stand.perform("email.send", mail, connection_id=_account(stand, "email", "smtp", url))


async def _imap(stand: Stand, url: str) -> Any:
    mailbox = {"mailbox": "INBOX"}
    return await stand.perform("email.message.new", mailbox, connection_id=_account(stand, "email", "imap", url))


async def _postgres(stand: Stand, url: str) -> Any:
    statement = {"sql": "SELECT 1", "max_rows": 1}
    connection = _account(stand, "database", "postgres", url)
    return await stand.perform("database.query", statement, connection_id=connection)


async def _account_test(stand: Stand, url: str) -> Any:
    return await stand.client.test_connection(USER, _account(stand, "email", "smtp", url))


def _server_of(url: str) -> tuple[str, int]:
    """What a user who had this URL in mind would write into the fields of an account."""
    scheme, _, rest = url.partition("://")
    place = rest.partition("/")[0] or url
    host, colon, port = place.rpartition(":")
    if colon and port.isdecimal() and not host.endswith(":") and (":" not in host or host.endswith("]")):
        return host.removeprefix("[").removesuffix("]"), int(port)
    return place.removeprefix("[").removesuffix("]"), 443 if scheme == "https" else 80


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
    "registration of a webhook": _registration,
    "smtp": _smtp,
    "imap": _imap,
    "postgres": _postgres,
    "test of an account": _account_test,
    "code exchange": consents.exchanged,
    "token refresh": consents.refreshed,
    "token request": consents.logged_in,
    "token revocation": consents.revoked,
    "discovery": provider.discovered,
    **{f"{name} of a provider": provider.led_to(name) for name in provider.ENDPOINTS},
}
BEHIND_A_REQUEST = {
    "next page": 1,
    "redirect": 1,
    "redirect after redirects": 4,
    **{f"{name} of a provider": before for name, before in provider.ENDPOINTS.items()},
}
"""Sinks whose first requests, so many, go to the public stand-in, which then names the URL."""
REFUSALS = {
    "token revocation": "not_revoked",
    "discovery": "provider_unavailable",
    **{f"{name} of a provider": "provider_unavailable" for name in provider.ENDPOINTS},
}
"""What those say who tell nobody why: all that goes wrong there looks alike, a refusal by the guard too."""


def public_answer(target: str) -> bytes:
    """What the public stand-in says: pages and redirects to wherever the query says."""
    parts = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    if parts.path == "/redirect" and "to" in query:
        return _response(302, b"", f"Location: {query['to']}")
    if parts.path == "/hops" and "to" in query:
        left = int(query.get("left", 3))
        again = f"/hops?{urlencode({'to': query['to'], 'left': left - 1})}"
        return _response(307, b"", f"Location: {again if left else query['to']}")
    body = provider.document(parts.path) or {"items": [1], "next": query.get("next")}
    return _response(200, json.dumps(body).encode(), "Content-Type: application/json")


def _response(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} So", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("utf-8", "replace") + body
