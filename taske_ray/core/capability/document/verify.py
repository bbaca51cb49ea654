"""Verify objects: how the sender of a delivery proves itself. Validated here; `core/webhook.py` applies them."""

from typing import Any

from taske_ray.core.capability.document.expression import number, template
from taske_ray.core.capability.document.literals import boolean, integer, list_of, one_of, text
from taske_ray.core.capability.document.names import Names, request_names
from taske_ray.core.capability.document.place import Fields, Place, Reader


def parse_verify(doc: Any) -> dict[str, Any]:
    """One Verify object, as `system.webhook` takes it: its templates compiled. Raises `Invalid` with all errors."""
    place = Place(doc)
    found = one_verify(Names({"conn": None, "params": None, "hook": {"url": None, "state": None}}))(place)
    place.report.raise_if_any("the verification is not valid")
    return found


def verify(names: Names) -> Reader[tuple[dict[str, Any], ...]]:
    """A reader of `verify`; `names` are the roots of its scope but `parts`, which is added."""
    return list_of(one_verify(names))


def one_verify(names: Names) -> Reader[dict[str, Any]]:
    """A reader of one Verify object, `token` or `hmac`. Its templates may read secrets."""
    scope = names.plus(parts=None, req=request_names).private()

    def read(place: Place) -> dict[str, Any]:
        raw = place.value.get("type") if isinstance(place.value, dict) else None
        if raw == "token":
            fields = Fields(place, "", required="type value secret")
            return {
                "type": "token",
                "value": fields.read_optional("value", template(scope)),
                "secret": fields.read_optional("secret", template(scope)),
            }
        fields = Fields(place, "algorithm secret_encoding parse timestamp", required="type secret signed signature")
        fields.read("type", one_of("token hmac", reserved="ed25519 jwt"), "hmac")
        return {
            "type": "hmac",
            "secret": fields.read_optional("secret", template(scope)),
            "signed": fields.read("signed", list_of(_signed(scope), 1), ()),
            "signature": fields.read_optional("signature", _signature(scope)),
            "algorithm": fields.read("algorithm", one_of("sha256 sha1 sha512"), "sha256"),
            "secret_encoding": fields.read("secret_encoding", one_of("utf8 hex base64"), "utf8"),
            "parse": fields.read_optional("parse", _parse(scope)),
            "timestamp": fields.read_optional("timestamp", _timestamp(scope)),
        }

    return read


def _signed(names: Names) -> Reader[Any]:
    """A part of what is signed: a template, or `{raw: true}` for the bytes as they came (returned as None)."""

    def read(place: Place) -> Any:
        if isinstance(place.value, dict):
            Fields(place, "", required="raw").read("raw", boolean, default=True)
            return None
        return template(names)(place)

    return read


def _signature(names: Names) -> Reader[dict[str, Any]]:
    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "value any_of prefix encoding")
        if isinstance(place.value, dict) and ("value" in fields) == ("any_of" in fields):
            place.fail("one_of_required", "exactly one of 'value' and 'any_of' is required")
        return {
            "value": fields.read_optional("value", template(names)),
            "any_of": fields.read_optional("any_of", template(names)),
            "prefix": fields.read("prefix", text, ""),
            "encoding": fields.read("encoding", one_of("hex base64 base64url"), "hex"),
        }

    return read


def _parse(names: Names) -> Reader[dict[str, Any]]:
    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "pairs kv", required="value")
        return {
            "value": fields.read_optional("value", template(names)),
            "pairs": fields.read("pairs", text, ","),
            "kv": fields.read("kv", text, "="),
        }

    return read


def _timestamp(names: Names) -> Reader[dict[str, Any]]:
    def read(place: Place) -> dict[str, Any]:
        fields = Fields(place, "unit tolerance_s", required="value")
        return {
            "value": fields.read_optional("value", number(names)),
            "unit": fields.read("unit", one_of("s ms"), "s"),
            "tolerance_s": fields.read("tolerance_s", integer(1, 86_400), 300),
        }

    return read
