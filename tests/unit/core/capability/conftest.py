"""A small module document to bend, and a driver that plays a conversation with given answers."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from taske_ray.core.capability import CallContext, Capability, ConnectionValues, converse, parse_module
from taske_ray.core.capability.tokens import Asking
from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.errors import FieldError, Invalid
from tests.unit.core.capability.token_talk import APP, NOW, TOKEN_URL

_document: dict[str, Any] = {
    "module": "shop",
    "name": {"en": "Shop", "ko": "가게"},
    "base_url": "https://api.shop.example/v1",
    "auth": [{"id": "none", "type": "none"}, {"id": "token", "type": "bearer", "test": {"path": "/me"}}],
    "capabilities": [
        {
            "capability": "shop.item.create",
            "kind": "action",
            "name": "Create an item",
            "params": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {"name": {"type": "string"}, "price": {"type": "integer", "default": 1}, "note": {}},
            },
            "request": {"method": "POST", "path": "/items", "body": {"name": "{{ params.name }}"}},
        }
    ],
}

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def document() -> dict[str, Any]:
    """A fresh copy of a valid document."""
    return copy.deepcopy(_document)


@pytest.fixture
def capability(document: dict[str, Any]) -> Callable[..., Capability]:
    """Makes the document's one capability, with fields of it replaced, removed (None) or added."""

    def make(module: dict[str, Any] | None = None, **fields: Any) -> Capability:
        document.update(module or {})
        one = document["capabilities"][0]
        one.update({name: part for name, part in fields.items() if part is not None})
        for name in [name for name, part in fields.items() if part is None]:
            one.pop(name, None)
        return parse_module(document).capabilities[one["capability"]]

    return make


@pytest.fixture
def errors_of() -> Callable[[Any], set[tuple[str, str]]]:
    """The errors of a document as (pointer, code)."""

    def find(doc: Any) -> set[tuple[str, str]]:
        try:
            parse_module(doc)
        except Invalid as error:
            return {(each.pointer, each.code) for each in error.errors if isinstance(each, FieldError)}
        return set()

    return find


class Talk:
    """What was asked in a conversation, and how it ended."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.outcome: Any = None

    @property
    def request(self) -> HttpRequest:
        """The only request."""
        (found,) = self.requests
        return found


@pytest.fixture
def talk() -> Callable[..., Talk]:
    """Plays a conversation: answers in order, each a status, a JSON body, or a whole `HttpResponse`."""

    def play(capability: Capability, *answers: Any, params: dict[str, Any] | None = None, **context: Any) -> Talk:
        now = context.pop("now", "2026-01-10T00:00:00Z")
        connection = context.pop("connection", None)
        if isinstance(connection, dict):
            connection = ConnectionValues("token", {}, connection)
        filled = capability.params.fill(params or {}, now=now)
        conversation = converse(capability, CallContext(params=filled, now=now, connection=connection, **context))
        found, waiting = Talk(), list(answers)
        try:
            found.requests.append(next(conversation))
            while waiting:
                found.requests.append(conversation.send(answer(waiting.pop(0), found.requests[-1])))
        except StopIteration as stop:
            found.outcome = stop.value
        assert not waiting, "more answers than requests"
        return found

    return play


def answer(given: Any, request: HttpRequest) -> HttpResponse:
    """A response from a status, a JSON value, or itself."""
    if isinstance(given, HttpResponse):
        return given
    if isinstance(given, int):
        return HttpResponse(given, {}, b"", request.url)
    return HttpResponse(200, {"content-type": "application/json"}, json.dumps(given).encode(), request.url)


@pytest.fixture
def asking(document):
    """Makes an `Asking` of the document's second scheme: OAuth with these fields, or the scheme's other fields."""

    def make(kind="oauth2_code", *, config=None, secret=None, app=APP, module=None, oauth=None, **scheme):
        urls = {"authorize_url": "https://login.shop.example/authorize", "token_url": TOKEN_URL}
        blocks = {"oauth": {**urls, **(oauth or {})}} if kind.startswith("oauth2") else {}
        document["auth"][1] = {"id": "oauth", "type": kind, **blocks, **scheme}
        document["allowed_hosts"] = ["api.shop.example", "login.shop.example"]
        document.update(module or {})
        found = parse_module(document)
        connection = ConnectionValues("oauth", config or {}, secret or {})
        return Asking(found, found.auth["oauth"], connection, NOW, app)

    return make
