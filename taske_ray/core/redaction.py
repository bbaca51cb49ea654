"""Takes secrets out of text by their value, in every spelling in which a service may send them back.

Structure-based masking (a field that names a secret) happens where the field is built; this is the second net.
`mask_places` is for what users wrote or received themselves: it masks by well-known names when a run is shown.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any
from urllib.parse import quote, quote_plus

import re2

MASK = "••••"
_shortest = 4  # shorter secrets would mask half of any text
_escaped = frozenset('"\\')


_looks = (  # RE2: linear in a text that a stranger wrote; the group is what is masked
    r"\b(eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)",
    r"(?i)\b(?:bearer|basic)\s+([\w.~+/=-]{8,})",
    r"\b((?:sk|rk|pk|xox[abeprs]|gh[opsu]|tsk)[_-][\w-]{12,})",
    r"(?s)(-----BEGIN [A-Z ]{1,40}-----.*?(?:-----END [A-Z ]{1,40}-----|\z))",
    r"(?i)\b[a-z][a-z0-9+.-]{1,20}://([^\s/@:]{1,200}:[^\s/@]{1,500})@",
)
_patterns: tuple[Any, ...] = tuple(map(re2.compile, _looks))


def mask_patterns(text: str) -> str:
    """The same text without what looks like a secret though none is known: JWTs, tokens, PEM, user information in URLs.

    For texts that leave our hands (logs, error messages); what a service returned as data is not touched by looks.
    """
    for pattern in _patterns:
        pieces, last = [], 0
        for found in pattern.finditer(text):
            pieces += [text[last : found.start(1)], MASK]
            last = found.end(1)
        text = "".join([*pieces, text[last:]])
    return text


_headers = frozenset(
    {
        *("authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "api-key", "apikey"),
        *("x-auth-token", "x-access-token", "x-csrf-token", "x-goog-api-key", "x-amz-security-token"),
        *("x-vault-token", "private-token", "x-gitlab-token", "x-telegram-bot-api-secret-token"),
    }
)
_query_keys = frozenset(
    {
        *("access_token", "refresh_token", "auth_token", "token", "api_key", "apikey", "key"),
        *("client_secret", "secret", "password", "signature", "sig"),
    }
)
_in_url = re.compile(r"(?i)([?&](?:" + "|".join(sorted(_query_keys)) + r")=)[^&#]+")
_user_information = re.compile(r"(?i)^([a-z][a-z0-9+.-]*://)[^/@?#]+@")


def mask_places(value: Any) -> Any:
    """The same step input, output, request or trigger output with what is a secret because of where it stands masked.

    Looks at its members `headers`, `query` and `url`; for showing only, what runs work with stays as it is.
    """
    if not isinstance(value, dict):
        return value
    shown = dict(value)
    for place, names in (("headers", _headers), ("query", _query_keys)):
        part = shown.get(place)
        if isinstance(part, dict):
            shown[place] = {name: MASK if name.lower() in names and inner else inner for name, inner in part.items()}
    if isinstance(shown.get("url"), str):
        url = _in_url.sub(rf"\g<1>{MASK}", shown["url"])
        shown["url"] = _user_information.sub(rf"\g<1>{MASK}@", url)
    return shown


class Redactor:
    """Replaces every loaded secret of four characters or more by `••••`."""

    def __init__(self, secrets: Iterable[Any]) -> None:
        self._secrets = tuple(secrets)

    def text(self, text: str) -> str:
        """The same text without a secret in it."""
        for spelling in self._spellings:
            if spelling in text:
                text = text.replace(spelling, MASK)
        return text

    def json(self, value: Any) -> Any:
        """The same JSON value with every string in it, names of members included, taken through `text`."""
        if not self._spellings or not self._may_contain(value):
            return value
        return self._walk(value)

    def _walk(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self._walk(part) for key, part in value.items()}
        if isinstance(value, list):
            return [self._walk(part) for part in value]
        return value

    def _may_contain(self, value: Any) -> bool:
        """A cheap look at the whole first; only safe for spellings that JSON does not escape."""
        if not self._plain or not isinstance(value, (dict, list)):
            return True
        whole = json.dumps(value, ensure_ascii=False)
        return any(spelling in whole for spelling in self._spellings)

    @cached_property
    def _plain(self) -> bool:
        return all(spelling.isprintable() and not _escaped.intersection(spelling) for spelling in self._spellings)

    @cached_property
    def _spellings(self) -> tuple[str, ...]:
        found = {spelling for secret in self._secrets for text in _strings(secret) for spelling in _spell(text)}
        return tuple(sorted(found, key=lambda spelling: (-len(spelling), spelling)))


def _strings(secret: Any) -> Iterator[str]:
    """Every string in a secret value; a PEM key also line by line, because services quote single lines of it."""
    if isinstance(secret, str):
        yield secret
        if "\n" in secret:
            yield from (line.strip() for line in secret.splitlines() if not line.startswith("-----"))
    elif isinstance(secret, dict):
        for part in secret.values():
            yield from _strings(part)
    elif isinstance(secret, list):
        for part in secret:
            yield from _strings(part)


def _spell(secret: str) -> Iterator[str]:
    """Raw, percent-encoded, JSON-escaped, hexadecimal and base64 in its three alignments."""
    if len(secret) < _shortest:
        return
    raw = secret.encode("utf-8", "surrogatepass")
    yield secret
    yield quote(secret, safe="", errors="replace")
    yield quote(secret, errors="replace")
    yield quote_plus(secret, errors="replace")
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield raw.hex()
    yield from _base64_spellings(raw)


def _base64_spellings(raw: bytes) -> Iterator[str]:
    """The characters that a secret turns into wherever it starts in a longer base64 text, standard and URL-safe.

    At an offset of 1 or 2 bytes the first characters also depend on what stands before, at the end the last ones on
    what follows; both are left out.
    """
    for offset in range(3):
        padded = b"\0" * offset + raw
        first = (offset * 8 + 5) // 6
        last = len(padded) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            spelling = encode(padded).decode("ascii")[first:last]
            if len(spelling) >= _shortest:
                yield spelling
