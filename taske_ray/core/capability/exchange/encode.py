"""Values on the wire: query, form, multipart, JSON, text and raw bodies (format, 2.5 and section 4)."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from taske_ray.core.capability.exchange.refusal import Refusal

Pairs = list[tuple[str, str]]
_header_name: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_header_breakers: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def to_text(value: Any) -> str:
    """A value inside a text: null is empty, numbers and booleans as in JSON, arrays and objects as compact JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else to_json(value)


def to_json(value: Any) -> str:
    """Compact JSON, Unicode as it is."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise Refusal("template_type", "a value cannot be written as JSON") from None


def without_null(value: Any) -> Any:
    """The same value without object members that are null; elements of arrays stay."""
    if isinstance(value, dict):
        return {name: without_null(part) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        return [without_null(part) for part in value]
    return value


def pairs_of(values: dict[str, Any], style: str) -> Pairs:
    """Names and texts of a query or form; `style` says how arrays (and, with `brackets`, objects) are spelt."""
    return [pair for name, value in values.items() for pair in _spell(name, value, style)]


def _spell(name: str, value: Any, style: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list) and style == "comma":
        yield name, ",".join(to_text(part) for part in value)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _spell(_element(name, index, part) if style == "brackets" else name, part, style)
    elif isinstance(value, dict) and style == "brackets":
        for key, part in value.items():
            yield from _spell(f"{name}[{key}]", part, style)
    else:
        yield name, to_text(value)


def _element(name: str, index: int, part: Any) -> str:
    """The name of an array's element: with its number where it has parts of its own, which `[]` would mix up."""
    return f"{name}[{index}]" if isinstance(part, dict | list) else f"{name}[]"


def urlencoded(pairs: Pairs) -> str:
    """`a=1&b=2`, everything that is not unreserved percent-encoded."""
    return "&".join(f"{_escaped_name(name)}={escape(value)}" for name, value in pairs)


@lru_cache(4096)
def _escaped_name(name: str) -> str:
    return escape(name)  # the same names come with every call; values are never kept


def escape(text: str) -> str:
    """One part of a URL, percent-encoded, `/` too."""
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise Refusal("template_type", "a text holds half a character (a lone surrogate)") from None


def header(name: str, value: Any) -> tuple[str, str]:
    """A header with its name in lower case. A line break or control character in it is refused."""
    text = ", ".join(to_text(part) for part in value) if isinstance(value, list) else to_text(value)
    if not _header_name.fullmatch(name):
        raise Refusal("bad_header", f"'{name[:60]}' is not a header name")
    if _header_breakers.search(text):
        raise Refusal("bad_header", f"the header '{name}' has a line break or control character in it")
    return name.lower(), text.strip(" \t")


def encode_body(value: Any, encoding: str, array_style: str) -> tuple[bytes | None, str | None]:
    """The bytes of a body and their content type; no body for null or encoding `none`."""
    if value is None or encoding == "none":
        return None, None
    if encoding == "auto":
        encoding = "text" if isinstance(value, str) else "json"
    return _encoders[encoding](value, array_style)


def _json(value: Any, _: str) -> tuple[bytes, str]:
    return _utf8(to_json(value)), "application/json"


def _text(value: Any, _: str) -> tuple[bytes, str]:
    return _utf8(to_text(value)), "text/plain; charset=utf-8"


def _form(value: Any, style: str) -> tuple[bytes, str]:
    return urlencoded(pairs_of(_object(value, "form"), style)).encode("ascii"), "application/x-www-form-urlencoded"


def _raw(value: Any, _: str) -> tuple[bytes, str]:
    content = value.get("base64") if isinstance(value, dict) else None
    return _decoded(content), str(
        value.get("content_type") or "application/octet-stream"
    ) if content is not None else ""


def _multipart(value: Any, style: str) -> tuple[bytes, str]:
    """RFC 7578. The boundary comes from the content, so that a repeated request has the same bytes."""
    parts = [part for name, each in _object(value, "multipart").items() for part in _parts(name, each, style)]
    boundary = hashlib.sha256(b"".join(parts)).hexdigest()[:32]
    opener = f"--{boundary}\r\n".encode()
    body = b"".join(opener + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def _parts(name: str, value: Any, style: str) -> Iterator[bytes]:
    if isinstance(value, dict) and "base64" in value:
        kind = header("content-type", value.get("content_type") or "application/octet-stream")[1]
        filename = _quoted(to_text(value.get("filename")) or "file")
        head = f'Content-Disposition: form-data; name="{_quoted(name)}"; filename="{filename}"\r\n'
        yield _utf8(f"{head}Content-Type: {kind}\r\n\r\n") + _decoded(value["base64"])
    elif isinstance(value, list):
        for part in value:
            yield from _parts(f"{name}[]" if style == "brackets" else name, part, style)
    else:
        yield _utf8(f'Content-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{to_text(value)}')


def _quoted(text: str) -> str:
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _object(value: Any, encoding: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal("bad_body", f"the encoding {encoding} needs an object")
    return value


def _decoded(content: Any) -> bytes:
    if not isinstance(content, str):
        raise Refusal("bad_body", "raw content is {base64, content_type}")
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise Refusal("bad_body", "the content is not base64") from None


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise Refusal("template_type", "a text holds half a character (a lone surrogate)") from None


_encoders = {"json": _json, "text": _text, "form": _form, "raw": _raw, "multipart": _multipart}
