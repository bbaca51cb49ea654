"""The conversations of a webhook that we register ourselves: subscribe, check, renew, unsubscribe (format, section 7).

Generators without I/O like those of `conversation.py`. What a subscription keeps (`hook.state`) may be secret, as
what was generated for it: neither shows in the requests and messages that people see.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from taske_ray.core.capability.document.expression import expressions_in
from taske_ray.core.capability.document.request import RequestSpec
from taske_ray.core.capability.document.response import DEFAULT_MAX_BYTES, ResponseSpec
from taske_ray.core.capability.exchange.build import prepare
from taske_ray.core.capability.exchange.context import CallContext
from taske_ray.core.capability.exchange.encode import to_text
from taske_ray.core.capability.exchange.pages import Page
from taske_ray.core.capability.exchange.refusal import Refusal
from taske_ray.core.capability.exchange.talk import Talk, seen_by
from taske_ray.core.capability.exchange.verdict import judge
from taske_ray.core.capability.module import Capability
from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.outcome import Failed
from taske_ray.errors import TemplateError

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The service will call. `state` is for later requests and for `verify`; `expires_at` is RFC 3339, None: never.

    `proof` are the secrets of the connection that `verify` names: what hooks need, who open no connection.
    """

    state: dict[str, Any] = field(repr=False)
    expires_at: str | None = None
    proof: dict[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Gone:
    """The service does not know the subscription any more."""


Conversation = Generator[HttpRequest, HttpResponse, Subscribed | Gone | Failed]


def verifies_by_connection(capability: Capability) -> bool:
    """Whether deliveries are checked with a secret of the trigger's connection."""
    secret = frozenset({("conn", "secret")})
    return any(each.template.reads(secret) for each in expressions_in(_block(capability)["verify"]))


def ends_by_name(capability: Capability) -> bool:
    """Whether the request that ends a registration says which one; else it ends whatever there is."""
    ours = frozenset({("hook",)})
    return any(each.template.reads(ours) for each in expressions_in(_block(capability)["unsubscribe"]))


def proving(capability: Capability, context: CallContext, talk: Conversation) -> Conversation:
    """The same conversation; who is subscribed by it holds what `verify` needs of the connection, and no more."""
    found = yield from talk
    if not isinstance(found, Subscribed) or context.connection is None:
        return found
    named = list(expressions_in(_block(capability)["verify"]))
    secrets = {
        name: value
        for name, value in context.connection.secret.items()
        if any(each.template.reads(frozenset({("conn", "secret", name)})) for each in named)
    }
    return replace(found, proof=secrets)


def stand() -> Conversation:
    """No request at all: whoever pasted the address has registered it."""
    yield from ()
    return Subscribed({})


def subscribe(capability: Capability, context: CallContext, *, url: str, generated: Values) -> Conversation:
    """Register `url`; `generated` are the fresh values that the document asks for. Gone is never returned."""
    block = _block(capability)["subscribe"]
    talk = _Registration(capability, context, url, {}, generated)
    return (
        yield from talk.held(block["request"], block["success"], lambda seen: _subscribed(talk, block["save"], seen))
    )


def finds_existing(capability: Capability) -> bool:
    """Whether the service can be asked for a registration whose answer was lost."""
    return _block(capability)["existing"] is not None


def find_existing(capability: Capability, context: CallContext, *, url: str, generated: Values) -> Conversation:
    """The registration of `url` that the service has already; Gone where it has none.

    One that cannot be kept, because a secret of it was told in the lost answer alone, is ended.
    """
    block = _block(capability)
    existing = block["existing"]
    talk = _Registration(capability, context, url, {}, generated)
    found = yield from talk.held(existing["request"], None, lambda seen: _existing(talk, block, seen))
    if not isinstance(found, Subscribed) or existing["keep"]:
        return found
    return (yield from unsubscribe(capability, context, url=url, state=found.state))


def check(capability: Capability, context: CallContext, *, url: str, state: Values) -> Conversation:
    """Whether the service still knows the subscription: Gone, or the state as it was."""
    block = _block(capability)["check"]
    talk = _Registration(capability, context, url, state, {})
    return (yield from talk.held(block["request"], None, lambda _: Subscribed(dict(state)), block["ignore_status"]))


def renew(capability: Capability, context: CallContext, *, url: str, state: Values) -> Conversation:
    """Prolong the subscription by the request that the document has for it."""
    block = _block(capability)["renew"]
    talk = _Registration(capability, context, url, state, {})
    return (yield from talk.held(block["request"], None, lambda seen: Subscribed(dict(state), _expiry(talk, seen))))


def unsubscribe(capability: Capability, context: CallContext, *, url: str, state: Values) -> Conversation:
    """End the subscription: Gone, also when it was gone already."""
    block = _block(capability)["unsubscribe"]
    talk = _Registration(capability, context, url, state, {})
    return (yield from talk.held(block["request"], None, lambda _: Gone(), block["ignore_status"]))


class _Registration:
    """One request of a subscription with the names that it may read."""

    def __init__(
        self, capability: Capability, context: CallContext, url: str, state: Values, generated: Values
    ) -> None:
        self.capability = capability
        self._talk = Talk(capability.module, context, capability.id, secrets=(*state.values(), *generated.values()))
        self._names = {"hook": {"url": url, "state": dict(state)}, "generated": dict(generated)}

    def held(self, spec: RequestSpec, success: Any, read: Any, gone: tuple[int, ...] = ()) -> Conversation:
        """Make the request and read its answer; `gone` are the statuses that say that there is nothing there."""
        try:
            return (yield from self._held(spec, success, read, gone))
        except (TemplateError, Refusal, RecursionError) as error:
            return self._talk.refused(error)

    def _held(self, spec: RequestSpec, success: Any, read: Any, gone: tuple[int, ...]) -> Conversation:
        talk, context = self._talk, self._talk.context
        scope = {**talk.scope(self.capability.params.scope(context.params)), **self._names}
        response = yield from talk.exchange(prepare(spec, scope, talk.route), DEFAULT_MAX_BYTES)
        if response.status in gone:
            return Gone()
        seen = seen_by(talk, response, ResponseSpec(), scope, Page(1))
        failed = judge(
            self.capability.errors,
            success,
            seen,
            connected=context.connection is not None,
            rate_headers=self.capability.rate_headers,
            redactor=talk.route.redactor,
        )
        if failed is not None:
            return talk.judged(failed)
        found: Subscribed | Gone = read({**seen, **self._names, "conn": talk.conn})
        return found


def _subscribed(talk: _Registration, save: Mapping[str, Any], seen: Values) -> Subscribed:
    return Subscribed({name: each.evaluate(seen) for name, each in save.items()}, _expiry(talk, seen))


def _existing(talk: _Registration, block: Mapping[str, Any], seen: Values) -> Subscribed | Gone:
    """The first item of the list that matches, read as if it were the answer to the registration."""
    items = block["existing"]["items"].evaluate(seen)
    for item in items if isinstance(items, list) else ():
        if block["existing"]["match"].evaluate({**seen, "item": item}):
            return _subscribed(
                talk, block["subscribe"]["save"], {**seen, "response": {**seen["response"], "body": item}}
            )
    return Gone()


def _expiry(talk: _Registration, seen: Values) -> str | None:
    renewal = _block(talk.capability)["renew"]
    found = renewal["expires_at"].evaluate(seen) if renewal is not None else None
    return None if found is None else to_text(found)


def _block(capability: Capability) -> dict[str, Any]:
    assert capability.webhook is not None
    return capability.webhook
