"""Encodings and hashes: URLs, base64, SHA-256."""

import base64
import binascii
import hashlib
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from taske_ray.core.template.filters.guard import Filter, FilterError, string_of
from taske_ray.core.template.json_text import compact_json
from taske_ray.core.template.limits import Work


def _base64_encode(_: Work, text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _base64_url_safe_encode(_: Work, text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _base64_decode(_: Work, text: str) -> str:
    return _decoded(text, b"+/")


def _base64_url_safe_decode(_: Work, text: str) -> str:
    return _decoded(text, b"-_")


def _decoded(text: str, letters: bytes) -> str:
    """UTF-8 text from base64, with or without padding and line breaks; FilterError if it is neither."""
    packed = "".join(text.split()).rstrip("=")
    try:
        return base64.b64decode((packed + "=" * (-len(packed) % 4)).encode("ascii"), letters, validate=True).decode()
    except (binascii.Error, ValueError):
        raise FilterError("the input is not base64 of UTF-8 text") from None


def _b64url(_: Work, value: Any) -> str:
    return base64.urlsafe_b64encode(string_of(value).encode()).decode().rstrip("=")


def _sha256(work: Work, value: Any) -> str:
    text = value if isinstance(value, str) else compact_json(value, work, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


filters = (
    Filter("url_encode", lambda _, text: quote_plus(text), as_text=True, factor=40),
    Filter("url_decode", lambda _, text: unquote_plus(text), as_text=True, factor=20),
    Filter("base64_encode", _base64_encode, as_text=True, factor=2),
    Filter("base64_decode", _base64_decode, as_text=True, factor=4),
    Filter("base64_url_safe_encode", _base64_url_safe_encode, as_text=True, factor=2),
    Filter("base64_url_safe_decode", _base64_url_safe_decode, as_text=True, factor=4),
    Filter("b64url", _b64url, passes=True, factor=2),
    Filter("sha256", _sha256, passes=True, factor=2),
)
