"""JSON Schemas of a description as the format takes them: what only OpenAPI knows is translated or left out."""

from collections.abc import Mapping
from typing import Any

_kept_words = """
type enum const default title description format pattern minimum maximum exclusiveMinimum exclusiveMaximum
multipleOf minLength maxLength minItems maxItems uniqueItems minProperties maxProperties required
"""
_kept = frozenset(_kept_words.split())
_formats = frozenset({"date-time", "date", "time", "email", "uri", "uuid", "ipv4", "ipv6", "hostname"})
_alternatives = ("oneOf", "anyOf")


def translated(schema: Any, *, sent: bool) -> dict[str, Any]:
    """A schema without references; `sent` leaves out what is only read, otherwise what is only written."""
    if not isinstance(schema, Mapping):
        return {}
    merged = _merged(schema)
    found = {name: part for name, part in merged.items() if name in _kept and _means_something(name, part)}
    if isinstance(merged.get("x-ms-summary"), str):
        found["title"] = merged["x-ms-summary"]
    if merged.get("nullable") is True and isinstance(found.get("type"), str):
        found["type"] = [found["type"], "null"]
    for name in _alternatives:
        if isinstance(merged.get(name), list):
            found[name] = [translated(part, sent=sent) for part in merged[name]]
    if isinstance(merged.get("items"), Mapping):
        found["items"] = translated(merged["items"], sent=sent)
    if isinstance(merged.get("properties"), Mapping):
        found |= _properties(merged, sent=sent)
    if isinstance(merged.get("additionalProperties"), (bool, Mapping)):
        more = merged["additionalProperties"]
        found["additionalProperties"] = more if isinstance(more, bool) else translated(more, sent=sent)
    return found


def _properties(schema: Mapping[str, Any], *, sent: bool) -> dict[str, Any]:
    hidden = "readOnly" if sent else "writeOnly"
    parts = {
        str(name): translated(part, sent=sent)
        for name, part in schema["properties"].items()
        if not (isinstance(part, Mapping) and part.get(hidden) is True)
    }
    required = [name for name in schema.get("required") or () if name in parts]
    return {"properties": parts, **({"required": required} if required else {"required": []})}


def _merged(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`allOf` written out: later parts win, properties and required names add up."""
    found: dict[str, Any] = {}
    for part in [*(schema.get("allOf") or ()), {name: value for name, value in schema.items() if name != "allOf"}]:
        each = _merged(part) if isinstance(part, Mapping) and "allOf" in part else part
        if isinstance(each, Mapping):
            properties = {**found.get("properties", {}), **(each.get("properties") or {})}
            required = [*found.get("required", []), *(each.get("required") or [])]
            found = {**found, **each}
            found |= {"properties": properties} if properties else {}
            found |= {"required": list(dict.fromkeys(required))} if required else {}
    if "properties" in found:
        found.setdefault("type", "object")
    return found


def _means_something(name: str, part: Any) -> bool:
    if name == "format":
        return part in _formats
    if name == "required":
        return isinstance(part, list)
    if name in ("exclusiveMinimum", "exclusiveMaximum"):
        return not isinstance(part, bool)  # a boolean in OpenAPI 3.0: then `minimum` alone is a little too lax
    return name != "pattern" or not any(look in str(part) for look in ("(?=", "(?!", "(?<"))
