"""The conversation with a service, without I/O: it yields requests, is sent responses, and returns what came of it.

    pre requests -> the capability's own request -> further pages -> output (action, lookup) or items (poll)

Whoever drives it sends each request and passes the complete response in; a request of which nobody knows whether it
arrived ends the conversation (close it). No error of a document, a parameter or a service is raised: it is returned.
"""

import json
from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any, Final

from taske_ray.core.capability.document.response import DEFAULT_MAX_BYTES, PreSpec, ResponseSpec
from taske_ray.core.capability.exchange.build import Prepared, prepare
from taske_ray.core.capability.exchange.context import CallContext, ConnectionValues
from taske_ray.core.capability.exchange.encode import header, to_text
from taske_ray.core.capability.exchange.kept import name_of
from taske_ray.core.capability.exchange.pages import Page, Pages, put_at
from taske_ray.core.capability.exchange.polled import read_items
from taske_ray.core.capability.exchange.refusal import Refusal
from taske_ray.core.capability.exchange.talk import Talk, public, seen_by
from taske_ray.core.capability.exchange.verdict import judge
from taske_ray.core.capability.module import Capability, Module
from taske_ray.core.http import HttpRequest, HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed, Fetched, PolledItem, Succeeded
from taske_ray.errors import TemplateError

Conversation = Generator[HttpRequest, HttpResponse, Succeeded | Failed | Fetched]
_not_modified: Final = 304


def converse(capability: Capability, context: CallContext) -> Conversation:
    """The whole conversation of one call (see the file's own description)."""
    talk = Talk(capability.module, context, capability.id)
    try:
        return (yield from _converse(talk, capability))
    except (TemplateError, Refusal, RecursionError) as error:
        return talk.refused(error)


def connection_test(
    module: Module, connection: ConnectionValues, *, now: str = "1970-01-01T00:00:00Z"
) -> Generator[HttpRequest, HttpResponse, Succeeded | Failed]:
    """Asks the service whether it knows this connection. `Succeeded.output` is `{"label": …}` (None if it has none)."""
    talk = Talk(module, CallContext(params={}, now=now, connection=connection), module.id)
    try:
        return (yield from _test(talk, module))
    except (TemplateError, Refusal, RecursionError) as error:
        return talk.refused(error)


def _converse(talk: Talk, capability: Capability) -> Conversation:
    if capability.request is None:
        raise Refusal("bad_combination", f"{capability.id} makes no requests: it runs inside the service")
    if talk.context.connection is None and capability.needs_connection:
        raise Refusal("connection_required", f"{capability.id} needs a connection", ErrorClass.PERMISSION)
    scope = talk.scope(capability.params.scope(talk.context.params))
    for pre in capability.pre:
        failed = yield from _ask_first(talk, capability, pre, scope)
        if failed is not None:
            return failed
    prepared = prepare(capability.request, scope, talk.route)
    add_key(prepared, capability, talk.context, scope)
    pages = Pages(capability.pagination, prepared, scope)
    if capability.poll is not None:
        return (yield from _poll(talk, capability, pages, scope))
    return (yield from _act(talk, capability, pages, scope))


def _ask_first(
    talk: Talk, capability: Capability, pre: PreSpec, scope: Mapping[str, Any]
) -> Generator[HttpRequest, HttpResponse, Failed | None]:
    """Makes a `pre` request, or takes what is kept of it, and has its output ready for the requests after it."""
    request = talk.written(prepare(pre.request, scope, talk.route), DEFAULT_MAX_BYTES)
    kept = talk.context.kept if pre.cache_s else None
    name = name_of(pre, capability, request, scope) if kept is not None else ""
    if kept is not None and (found := kept.find(name)) is not None:
        talk.pre[pre.id] = json.loads(found)
        return None
    response = yield from talk.ask(request)
    seen = seen_by(talk, response, pre.response, scope, Page(1))
    failed = _judge(talk, capability, pre.response, seen)
    if failed is not None:
        return failed
    output = pre.response.output.evaluate(seen) if pre.response.output is not None else seen["response"]["body"]
    talk.pre[pre.id] = output
    # credentials are in plain text for the length of a call: an answer that repeats one is not kept
    if kept is not None and talk.route.redactor.data(output) == output:
        kept.keep(name, json.dumps(output), pre.cache_s)
    return None


def _act(talk: Talk, capability: Capability, pages: Pages, scope: Mapping[str, Any]) -> Conversation:
    """An action or lookup: reads all pages, then maps the output."""
    items: list[Any] = []
    request: Prepared | None = pages.first()
    first_sent = None
    while request is not None:
        response = yield from talk.exchange(request, capability.response.max_bytes)
        first_sent = first_sent or talk.sent
        pages.page.number += 1
        seen = seen_by(talk, response, capability.response, scope, pages.page)
        failed = _judge(talk, capability, capability.response, seen)
        if failed is not None:
            return failed
        if capability.response.items is None and capability.pagination is None:
            break
        raw = _items(capability.response, seen)
        kept = pages.took(raw)
        items += [_mapped(capability.response, seen, item) for item in kept]
        request = pages.next({**seen, "page": pages.page.scope()}, len(raw), raw[-1] if raw else None)
    seen = {**seen, "items": items, "page": pages.page.scope()}
    # a service may send a credential back; nothing behind this point needs it, and the output is stored and shown
    output, missing = capability.shape_output(talk.route.redactor.data(_output(capability.response, seen, items)))
    warnings = ("output_mismatch",) if missing else ()
    return Succeeded(output, http_status=response.status, request=first_sent, warnings=warnings)


def _poll(talk: Talk, capability: Capability, pages: Pages, scope: Mapping[str, Any]) -> Conversation:
    """A check: reads all pages, or as many as can hold something new."""
    spec = capability.poll
    assert spec is not None
    found = Fetched()
    items: list[PolledItem] = []
    first = pages.first()
    if spec.conditional:
        _ask_conditionally(first, talk.context.validators or {})
    request: Prepared | None = first
    while request is not None:
        response = yield from talk.exchange(request, capability.response.max_bytes)
        if response.status == _not_modified and spec.conditional and pages.page.number == 0:
            return Fetched(not_modified=True, validators=dict(talk.context.validators or {}))
        pages.page.number += 1
        seen = seen_by(talk, response, capability.response, scope, pages.page)
        failed = _judge(talk, capability, capability.response, seen)
        if failed is not None:
            return failed
        if pages.page.number == 1:
            found = replace(found, validators=_validators(response))
        raw = _items(capability.response, seen)
        read = read_items(capability, seen, pages.took(raw))
        items += [replace(item, output=talk.route.redactor.data(item.output)) for item in read.items]
        found = replace(
            found,
            invalid=found.invalid + read.invalid,
            filtered=found.filtered + read.filtered,
            passed=(*found.passed, *read.passed),
        )
        if read.ends:
            break
        request = pages.next({**seen, "page": pages.page.scope()}, len(raw), raw[-1] if raw else None)
    return replace(found, items=tuple(items), truncated=pages.page.truncated)


def _test(talk: Talk, module: Module) -> Generator[HttpRequest, HttpResponse, Succeeded | Failed]:
    scheme = talk.scheme
    assert scheme is not None
    scope = talk.scope({})
    if scheme.test is None:
        return Succeeded({"label": None})
    response = yield from talk.exchange(prepare(scheme.test, scope, talk.route), DEFAULT_MAX_BYTES)
    seen = seen_by(talk, response, ResponseSpec(), scope, Page(1))
    failed = judge(
        module.policies.errors,
        None,
        seen,
        connected=True,
        rate_headers=module.policies.rate_headers,
        redactor=talk.route.redactor,
    )
    if failed is not None:
        return talk.judged(failed)
    label = scheme.label.evaluate(seen) if scheme.label is not None else None
    text = talk.route.redactor.text(to_text(label)) if label is not None else None
    return Succeeded({"label": text}, http_status=response.status, request=talk.sent)


def _judge(talk: Talk, capability: Capability, spec: ResponseSpec, seen: Mapping[str, Any]) -> Failed | None:
    failed = judge(
        capability.errors,
        spec.success,
        seen,
        connected=talk.context.connection is not None,
        rate_headers=capability.rate_headers,
        redactor=talk.route.redactor,
    )
    return talk.judged(failed) if failed is not None else None


def _items(spec: ResponseSpec, seen: Mapping[str, Any]) -> list[Any]:
    """The list of a page: null is none, one object is a list of one."""
    found = spec.items.evaluate(seen) if spec.items is not None else seen["response"]["body"]
    if found is None:
        return []
    if isinstance(found, dict):
        return [found]
    if not isinstance(found, list):
        raise Refusal("template_type", "'items' must give a list, an object or null")
    return found


def _mapped(spec: ResponseSpec, seen: Mapping[str, Any], item: Any) -> Any:
    return item if spec.item is None else spec.item.evaluate({**seen, "item": item})


def _output(spec: ResponseSpec, seen: Mapping[str, Any], items: list[Any]) -> Any:
    if spec.output is not None:
        return spec.output.evaluate(seen)
    return {"items": items, "count": len(items)} if spec.items is not None else seen["response"]["body"]


def add_key(prepared: Prepared, capability: Capability, context: CallContext, scope: Mapping[str, Any]) -> None:
    """Puts the step's key into the action's own request. A key that the user wrote stays: it is as constant."""
    if capability.kind != "action" or context.idempotency_key is None:
        return
    spec = capability.idempotency
    key = to_text(spec.key.evaluate(public(scope))) if spec.key is not None else context.idempotency_key
    for parts in prepared.both():
        if spec.header is not None:
            name, text = header(spec.header, key)
            parts.headers.setdefault(name, text)
        if spec.body_field is not None:
            parts.body = put_at(parts.body, spec.body_field.split("."), key)


def _ask_conditionally(prepared: Prepared, validators: Mapping[str, str]) -> None:
    for name, known in (("if-none-match", "etag"), ("if-modified-since", "last_modified")):
        if validators.get(known):
            for parts in prepared.both():
                parts.headers.setdefault(name, validators[known])


def _validators(response: HttpResponse) -> dict[str, str]:
    found = {"etag": response.headers.get("etag"), "last_modified": response.headers.get("last-modified")}
    return {name: value for name, value in found.items() if value}
