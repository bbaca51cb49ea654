"""Whether the sender of a delivery is who the trigger expects: Verify entries `token` and `hmac` (format, section 7).

Fails closed: what is missing, empty or unreadable never passes. Algorithms and encodings are the definition's, never
the sender's; comparisons take constant time.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from taske_ray.errors import TemplateError

_algorithms = {"sha256": hashlib.sha256, "sha1": hashlib.sha1, "sha512": hashlib.sha512}


def is_genuine(entries: Sequence[Mapping[str, Any]], raw: bytes, scope: Mapping[str, Any], now: datetime) -> bool:
    """Whether one of the Verify entries passes, or there are none. Anything missing or unreadable fails (closed)."""
    return not entries or any(_passes(entry, raw, scope, now) for entry in entries)


def reads_body(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a template of these entries reads the decoded body."""
    paths = (path for entry in entries for path in _paths(entry))
    return any(path[:1] == ("req",) and (len(path) == 1 or path[1] in {"body", None}) for path in paths)


def _paths(value: Any) -> list[tuple[Any, ...]]:
    """Every path that the templates inside a compiled Verify entry read."""
    if isinstance(value, Mapping):
        return [path for part in value.values() for path in _paths(part)]
    if isinstance(value, (list, tuple)):
        return [path for part in value for path in _paths(part)]
    template = getattr(value, "template", value)
    return list(template.paths()) if hasattr(template, "paths") else []


def _passes(entry: Mapping[str, Any], raw: bytes, scope: Mapping[str, Any], now: datetime) -> bool:
    try:
        return _token_passes(entry, scope) if entry["type"] == "token" else _hmac_passes(entry, raw, scope, now)
    except (TemplateError, ValueError, TypeError, OverflowError):
        return False


def _token_passes(entry: Mapping[str, Any], scope: Mapping[str, Any]) -> bool:
    given, secret = _text(entry["value"].evaluate(scope)), _text(entry["secret"].evaluate(scope))
    return bool(given) and bool(secret) and hmac.compare_digest(given.encode(), secret.encode())


def _hmac_passes(entry: Mapping[str, Any], raw: bytes, scope: Mapping[str, Any], now: datetime) -> bool:
    if entry.get("parse") is not None:
        scope = {**scope, "parts": _parts(entry["parse"], scope)}
    secret = _decode(_text(entry["secret"].evaluate(scope)), entry["secret_encoding"])
    if not secret or not _is_fresh(entry.get("timestamp"), scope, now):
        return False
    message = b"".join(raw if part is None else _present(part.evaluate(scope)).encode() for part in entry["signed"])
    expected = hmac.new(secret, message, _algorithms[entry["algorithm"]]).digest()
    # every candidate is compared, so the time says nothing about which of them matched
    return sum(hmac.compare_digest(expected, given) for given in _signatures(entry["signature"], scope)) > 0


def _parts(parse: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, list[str]]:
    """`t=1,v1=a,v1=b` as `{t: [1], v1: [a, b]}`; only the first `kv` of a pair separates."""
    parts: dict[str, list[str]] = {}
    for pair in _present(parse["value"].evaluate(scope)).split(parse["pairs"]):
        name, found, value = pair.partition(parse["kv"])
        if found:
            parts.setdefault(name.strip(), []).append(value.strip())
    return parts


def _is_fresh(timestamp: Mapping[str, Any] | None, scope: Mapping[str, Any], now: datetime) -> bool:
    if timestamp is None:
        return True
    value = timestamp["value"].evaluate(scope)
    if isinstance(value, list):  # a part of a parsed header
        value = value[0] if len(value) == 1 else None
    if value is None or isinstance(value, bool):
        return False
    seconds = float(value) / (1000 if timestamp["unit"] == "ms" else 1)
    tolerance_s: int = timestamp["tolerance_s"]
    return abs(now.timestamp() - seconds) <= tolerance_s


def _signatures(signature: Mapping[str, Any], scope: Mapping[str, Any]) -> list[bytes]:
    if signature.get("any_of") is not None:
        found = signature["any_of"].evaluate(scope)
        texts = found if isinstance(found, list) else [found]
    else:
        texts = [signature["value"].evaluate(scope)]
    given = []
    for text in texts:
        if isinstance(text, str) and text.startswith(signature["prefix"]):
            decoded = _decoded_or_none(text[len(signature["prefix"]) :], signature["encoding"])
            given += [] if not decoded else [decoded]
    return given


def _decoded_or_none(text: str, encoding: str) -> bytes | None:
    try:
        return _decode(text, encoding)
    except ValueError:
        return None


def _decode(text: str, encoding: str) -> bytes:
    if encoding == "utf8":
        return text.encode()
    if encoding == "hex":
        return bytes.fromhex(text)
    try:
        padded = text + "=" * (-len(text) % 4)
        return base64.b64decode(padded, altchars=b"-_" if encoding == "base64url" else None, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _text(value: Any) -> str:
    if value is None or isinstance(value, (dict, list)):
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _present(value: Any) -> str:
    """A part of what was signed; a missing one never passes."""
    text = _text(value)
    if not text:
        raise ValueError("a part of the signed text is missing")
    return text
