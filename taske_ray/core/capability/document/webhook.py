"""The blocks `webhook` and `app_webhook`: validated, kept as data for those who receive and subscribe (section 7)."""

from datetime import timedelta
from typing import Any, Final

from taske_ray.core.capability.document.expression import condition, template, value, values
from taske_ray.core.capability.document.literals import boolean, duration, identifier, integer, list_of, one_of, text
from taske_ray.core.capability.document.names import Names, Tree, request_names, response_names, tree_of
from taske_ray.core.capability.document.place import Fields, Place, Reader
from taske_ray.core.capability.document.request import request
from taske_ray.core.capability.document.schema import object_schema, properties_of
from taske_ray.core.capability.document.verify import verify

WEBHOOK_REQUESTS: Final = ("subscribe", "existing", "check", "renew", "unsubscribe")
_most_generated_bytes: Final = 256


def webhook(names: Names) -> Reader[dict[str, Any]]:
    """A reader of `webhook`; `names` hold `params`, `conn` and `now`. What it returns is compiled, by field name."""

    def read(place: Place) -> dict[str, Any]:
        fields = Fields(
            place,
            "subscribe existing check unsubscribe renew handshake filter split dedupe_key output respond",
            required="mode verify",
        )
        mode = fields.read("mode", one_of("subscribe manual app"), "manual")
        if mode == "subscribe" and "subscribe" not in fields:
            place.fail("missing", "'subscribe' is required with mode subscribe", "/subscribe")
        existing = place.value.get("existing") if isinstance(place.value, dict) else None
        if isinstance(existing, dict) and existing.get("keep") is False and "unsubscribe" not in fields:
            place.fail("missing", "'unsubscribe' is required where what exists is not kept", "/unsubscribe")
        calls = names.plus(hook={"url": None, "state": None}, generated=_generated(place)).private()
        event = names.public().plus(req=request_names)
        requests = {
            "subscribe": fields.read_optional("subscribe", _subscribe(calls)),
            "existing": fields.read_optional("existing", _existing(calls)),
            "check": fields.read_optional("check", _call(calls)),
            "unsubscribe": fields.read_optional("unsubscribe", _call(calls)),
            "renew": fields.read_optional("renew", _renew(calls)),
        }
        ours = requests if mode == "subscribe" else dict.fromkeys(requests)  # whoever pastes the address makes none
        return {"mode": mode, **ours, **_reception(fields, names, event)}

    return read


def app_webhook(place: Place) -> dict[str, Any]:
    """Reads `app_webhook`: one URL for all users of an app."""
    fields = Fields(place, "fields handshake respond", required="verify route")
    found = fields.read("fields", object_schema, {"type": "object", "properties": {}})
    app: Tree = {"secret": tree_of(properties_of(found)), "client_id": None}
    names = Names({"app": app, "req": request_names})
    return {
        "fields": found,
        "verify": fields.read("verify", verify(names), ()),
        "handshake": fields.read("handshake", list_of(_handshake(names.only("req"))), ()),
        "route": fields.read_optional("route", _route(names.only("req"))),
        "respond": fields.read_optional("respond", _respond(names.only("req"))),
    }


def _reception(fields: Fields, names: Names, event: Names) -> dict[str, Any]:
    """What happens to a delivery, from its signature to its output."""
    checked = names.plus(hook={"url": None, "state": None}, app=None)
    split = event.plus(item=None) if "split" in fields else event
    return {
        "handshake": fields.read("handshake", list_of(_handshake(event)), ()),
        "verify": fields.read("verify", verify(checked), ()),
        "filter": fields.read_optional("filter", condition(event)),
        "split": fields.read_optional("split", template(event)),
        "dedupe_key": fields.read_optional("dedupe_key", template(split)),
        "output": fields.read_optional("output", value(split)),
        "respond": fields.read_optional("respond", _respond(event)),
    }


def _generated(place: Place) -> Tree:
    subscribe = place.value.get("subscribe") if isinstance(place.value, dict) else None
    found = subscribe.get("generate") if isinstance(subscribe, dict) else None
    return tree_of(found) if isinstance(found, dict) else {}


def _subscribe(names: Names) -> Reader[dict[str, Any]]:
    answer = names.plus(response=response_names)

    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "generate success save", required="request")
        return {
            "request": fields.read_optional("request", request(names)),
            "generate": fields.read("generate", _generate, {}),
            "success": fields.read_optional("success", condition(answer)),
            "save": fields.read("save", values(answer), {}),
        }

    return read


def _existing(names: Names) -> Reader[dict[str, Any]]:
    """How to find a registration of ours whose answer was lost."""
    answer = names.public().plus(response=response_names)

    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "keep", required="request items match")
        return {
            "request": fields.read_optional("request", request(names)),
            "items": fields.read_optional("items", template(answer)),
            "match": fields.read_optional("match", condition(answer.plus(item=None))),
            "keep": fields.read("keep", boolean, default=True),
        }

    return read


def _generate(place: Place) -> dict[str, dict[str, Any]]:
    found = {}
    for name, child in place.members().items():
        identifier(Place(name, child.pointer, child.report))
        fields = Fields(child, "bytes", required="type")
        found[name] = {
            "type": fields.read("type", one_of("hex base64url uuid"), "hex"),
            "bytes": fields.read("bytes", integer(16, _most_generated_bytes), 32),
        }
    return found


def _call(names: Names) -> Reader[dict[str, Any]]:
    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "ignore_status", required="request")
        return {
            "request": fields.read_optional("request", request(names)),
            "ignore_status": fields.read("ignore_status", list_of(integer(100, 599)), (404,)),
        }

    return read


def _renew(names: Names) -> Reader[dict[str, Any]]:
    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "before request", required="expires_at")
        return {
            "expires_at": fields.read_optional("expires_at", template(names.public().plus(response=response_names))),
            "before": fields.read("before", duration, timedelta(days=1)),
            "request": fields.read_optional("request", request(names)),
        }

    return read


def _handshake(names: Names) -> Reader[dict[str, Any]]:
    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "verified", required="when respond")
        return {
            "when": fields.read_optional("when", condition(names)),
            "respond": fields.read_optional("respond", _respond(names)),
            "verified": fields.read("verified", boolean, default=True),
        }

    return read


def _respond(names: Names) -> Reader[dict[str, Any]]:
    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "status headers body")
        return {
            "status": fields.read("status", integer(200, 599), 202),
            "headers": fields.read_optional("headers", value(names)),
            "body": fields.read_optional("body", value(names)),
        }

    return read


def _route(names: Names) -> Reader[dict[str, Any]]:
    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "", required="by match")
        return {"by": fields.read_optional("by", template(names)), "match": fields.read("match", text, "")}

    return read
