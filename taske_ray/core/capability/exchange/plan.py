"""What a call would send, for people who ask before it runs: nothing decrypted, nothing sent."""

from collections.abc import Mapping
from typing import Any, get_args

from taske_ray.core.capability.document.auth import AuthScheme
from taske_ray.core.capability.document.names import Tree
from taske_ray.core.capability.document.policy import IdempotencyClass
from taske_ray.core.capability.document.response import PreSpec
from taske_ray.core.capability.exchange.build import prepare, route, show
from taske_ray.core.capability.exchange.context import CallContext
from taske_ray.core.capability.exchange.conversation import add_key
from taske_ray.core.capability.exchange.pages import Pages
from taske_ray.core.capability.exchange.refusal import Refusal
from taske_ray.core.capability.module import Capability
from taske_ray.core.redaction import MASK
from taske_ray.errors import Invalid, TemplateError


def plan_request(capability: Capability, context: CallContext) -> dict[str, Any]:
    """The first request of a call as `{method, url, headers, body, encoding}`, secrets as `••••`; `{}` if it has none.

    What a connection or a `pre` request would bring stands there as `«conn.config.x»` and `«pre.x.y»`. Raises
    `Invalid` where the request cannot be built.
    """
    if capability.request is None:
        return {}
    scheme = _scheme(capability, context)
    conn = {"config": _config(scheme, context), "secret": _placeholders(scheme, "secret", MASK)}
    scope = {
        "params": capability.params.scope(context.params),
        "conn": conn,
        "pre": {pre.id: _named(pre) for pre in capability.pre},
        "now": context.now,
        "run": {"id": context.run_id, "step": context.step},
        "cursor": context.cursor or {"from": None, "value": None},
    }
    try:
        way = route(capability.module, scheme, conn, check_hosts=False)
        prepared = Pages(capability.pagination, prepare(capability.request, scope, way), scope).first()
        add_key(prepared, capability, context, scope)
    except (Refusal, TemplateError) as error:
        raise Invalid.at("", error.code, error.message) from None
    return {**show(prepared, way), "encoding": prepared.shown.encoding}


def idempotency_class(capability: Capability, params: Mapping[str, Any], run_id: str, step: str) -> IdempotencyClass:
    """What may be done when nobody knows whether a call arrived; `ask` where the capability gives no valid answer."""
    scope = {"params": capability.params.scope(params), "run": {"id": run_id, "step": step}}
    try:
        found = capability.idempotency.cls.evaluate(scope)
    except TemplateError:
        return "ask"
    return next((word for word in get_args(IdempotencyClass) if word == found), "ask")


def _scheme(capability: Capability, context: CallContext) -> AuthScheme | None:
    """The connection's scheme, or the first that can be connected where one is needed."""
    auth = capability.module.auth
    if context.connection is not None:
        return auth.get(context.connection.auth_id)
    return next((auth[each] for each in capability.auth_ids), None) if capability.needs_connection else None


def _config(scheme: AuthScheme | None, context: CallContext) -> dict[str, Any]:
    known = dict(context.connection.config) if context.connection is not None else {}
    return {**_placeholders(scheme, "config", None), **known}


def _placeholders(scheme: AuthScheme | None, half: str, text: str | None) -> dict[str, Any]:
    names: Tree = (scheme.names or {}).get(half) if scheme is not None else None
    return {name: text or f"«conn.{half}.{name}»" for name in names or {}}


def _named(pre: PreSpec) -> Any:
    """What a `pre` request would bring, by name where its members are known."""
    if not pre.members:
        return f"«pre.{pre.id}»"
    return {name: f"«pre.{pre.id}.{name}»" for name in pre.members}
