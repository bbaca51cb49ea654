"""A response's bytes as data: JSON, lines of it, XML, feeds, CSV, text, base64 for the rest (format, section 4)."""

import base64
import csv
import io
import json
from collections.abc import Callable
from typing import Any, Final

from taske_ray.core.capability.exchange.feed import read_feed
from taske_ray.core.capability.exchange.xml import read_xml
from taske_ray.core.http import HttpResponse

Undecodable: Final = (ValueError, TypeError, RecursionError, csv.Error, LookupError)
_most_rows: Final = 10_000


def view(response: HttpResponse, decode: str) -> dict[str, Any]:
    """A response as templates see it. What cannot be decoded has a null body and keeps its text."""
    kind = response.headers.get("content-type", "")
    text, body = _read(response.body, kind, decode)
    return {"status": response.status, "headers": response.headers, "body": body, "text": text, "url": response.url}


def _read(raw: bytes, kind: str, decode: str) -> tuple[str, Any]:
    if decode == "binary":
        return "", _binary(raw, kind)
    text = _text(raw, kind, strict=decode == "auto")
    if text is None:
        return "", _binary(raw, kind)
    if not raw:
        return "", None
    if decode == "auto":
        decode = "json" if _is_json(kind) else "text"
        fallback: Any = text
    else:
        fallback = None
    try:
        return text, _decoders[decode](text)
    except Undecodable:
        return text, fallback


def _is_json(kind: str) -> bool:
    media = kind.partition(";")[0].strip().lower()
    return media.endswith(("/json", "+json"))


def _text(raw: bytes, kind: str, *, strict: bool) -> str | None:
    """The text of a body; None if `strict` and it is none."""
    charset = kind.lower().partition("charset=")[2].partition(";")[0].strip(" \"'") or "utf-8"
    try:
        text = raw.decode(charset, "strict" if strict else "replace")
    except (LookupError, UnicodeError):
        if strict:
            return None
        text = raw.decode("utf-8", "replace")
    return None if strict and "\0" in text else text.removeprefix("\ufeff")


def _binary(raw: bytes, kind: str) -> dict[str, Any]:
    return {"base64": base64.b64encode(raw).decode("ascii"), "content_type": kind or None, "size": len(raw)}


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def read_json(text: str) -> Any:
    """JSON in the strict sense: no NaN, no Infinity."""
    return json.loads(text, parse_constant=_refuse_constant)


def _ndjson(text: str) -> Any:
    return [read_json(line) for line in text.splitlines() if line.strip()]


def _csv(text: str) -> Any:
    """A list of objects: the first row names the columns."""
    rows = []
    for row in csv.DictReader(io.StringIO(text, newline=""), restkey="", restval=None):
        rows.append({name: value for name, value in row.items() if name})
        if len(rows) > _most_rows:
            raise ValueError("more than 10,000 rows")
    return rows


_decoders: Final[dict[str, Callable[[str], Any]]] = {
    "json": read_json,
    "ndjson": _ndjson,
    "csv": _csv,
    "text": str,
    "xml": read_xml,
    "feed": read_feed,
}
