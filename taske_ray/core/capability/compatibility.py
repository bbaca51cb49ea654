"""Whether tasks may move on to a capability's next version by themselves (capability-format, section 8). Pure."""

from collections.abc import Mapping
from typing import Any

_identity = ("kind", "execution", "executor")
_shape = (("poll", "key"), ("poll", "version_key"), ("poll", "cursor", "type"), ("webhook", "dedupe_key"))


def breaking(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Pointers of what a task saved against `old` could trip over in `new`; empty: it may use `new` at once."""
    found = [f"/{name}" for name in _identity if old.get(name) != new.get(name)]
    found += ["/" + "/".join(path) for path in _shape if _at(old, path) != _at(new, path)]
    found += _narrowed(old.get("params") or {}, new.get("params") or {})
    found += _shrunk(old.get("output") or {}, new.get("output") or {})
    if set(new.get("scopes") or ()) - set(old.get("scopes") or ()):
        found.append("/scopes")
    if old.get("auth") is not None and set(old["auth"]) - set(new.get("auth") or old["auth"]):
        found.append("/auth")
    return found


def _at(doc: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        doc = doc.get(name) if isinstance(doc, dict) else None
    return doc


def _narrowed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Parameters removed, newly required or of another type: conservative, any other type counts as narrower."""
    required = set(new.get("required") or ()) - set(old.get("required") or ())
    return [*_lost(old, new, "/params"), *(f"/params/required/{name}" for name in sorted(required))]


def _shrunk(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    optional = set(old.get("required") or ()) - set(new.get("required") or ())
    return [*_lost(old, new, "/output"), *(f"/output/required/{name}" for name in sorted(optional))]


def _lost(old: dict[str, Any], new: dict[str, Any], pointer: str) -> list[str]:
    before, after = old.get("properties") or {}, new.get("properties") or {}
    lost = [name for name in before if name not in after or _retyped(before[name], after[name])]
    return [f"{pointer}/properties/{name}" for name in lost]


def _retyped(old: Any, new: Any) -> bool:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return False
    if old.get("type") != new.get("type"):
        return "type" in new
    return "enum" in new and not set(map(repr, old.get("enum") or [object()])) <= set(map(repr, new["enum"]))
