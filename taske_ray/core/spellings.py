"""The spellings in which a secret travels: raw, percent-encoded, in JSON and HTML, hexadecimal, base64."""

import base64
import html
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

shortest = 4  # shorter secrets would mask half of any text


def spellings(secret: Any) -> Iterator[str]:
    """Every spelling of every text in a secret value, the shortest of four characters."""
    for text in _texts(secret):
        for spelling in _spelled(text) if len(text) >= shortest else ():
            if len(spelling) >= shortest:
                yield spelling


def _texts(secret: Any) -> Iterator[str]:
    """Every text in a value; what has several lines (PEM) also line by line, because services quote single lines."""
    if isinstance(secret, str):
        yield from {secret, secret.strip()}
        if "\n" in secret.strip():
            yield from (line.strip() for line in secret.splitlines() if not line.startswith("-----"))
    elif isinstance(secret, bool) or secret is None:
        return
    elif isinstance(secret, int | float):
        yield json.dumps(secret)
    elif isinstance(secret, dict):
        for part in secret.values():
            yield from _texts(part)
    elif isinstance(secret, list | tuple):
        for part in secret:
            yield from _texts(part)


def _spelled(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    yield secret
    for percent in (quote(secret, safe="", errors="replace"), quote(secret, errors="replace")):
        yield percent
        yield _lower_percent(percent)
    plus = quote_plus(secret, errors="replace")
    yield plus
    yield _lower_percent(plus)
    for ascii_only in (True, False):
        text = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield text
        yield text.replace("/", "\\/")
        yield text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    yield html.escape(secret)
    yield raw.hex()
    yield raw.hex().upper()
    yield from _base64(raw)


def _lower_percent(text: str) -> str:
    """The same with `%2f` where it has `%2F`."""
    head, *rest = text.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


def _base64(raw: bytes) -> Iterator[str]:
    """The characters that a secret turns into wherever it starts in a longer base64 text, standard and URL-safe.

    At an offset of 1 or 2 bytes the first characters also depend on what stands before, at the end the last ones on
    what follows; both are left out.
    """
    for offset in range(3):
        padded = b"\0" * offset + raw
        first = (offset * 8 + 5) // 6
        last = len(padded) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(padded).decode("ascii")[first:last]
