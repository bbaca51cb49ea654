"""What looks like a secret though none is known: JWTs, credentials in headers, well-known keys, PEM, parts of URLs.

RE2, so that texts that strangers wrote cost linear time. In each pattern the group is what is masked.
"""

import re
from collections.abc import Callable
from typing import Any

import re2

MASK = "••••"
query_keys = (
    *("access_token", "refresh_token", "auth_token", "id_token", "token", "api_key", "apikey", "key", "client_secret"),
    *("secret", "password", "passwd", "signature", "sig", "code_verifier", "assertion"),
)
_half = re.compile("[\ud800-\udfff]")
_no_word = 20  # `Basic authentication` is two words, however long the second is


def _is_no_word(text: str) -> bool:
    return len(text) >= _no_word or any(character.isdigit() for character in text)


def _always(_: str) -> bool:
    return True


_looks: tuple[tuple[str, Callable[[str], bool]], ...] = (
    (r"\b(eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)", _always),
    (r"(?i)\b(?:bearer|basic|digest|token)\s+([\w.~+/=-]{8,})", _is_no_word),
    (r"\b((?:sk|rk|pk)[_-](?:[a-z]{2,10}[_-])*[A-Za-z0-9]{12,}[\w-]*)", _is_no_word),
    (r"\b((?:xox[abeprs]|gh[opsur]|github_pat|glpat|tsk|whsec|shpat|npm)[_-][\w-]{12,})", _always),
    (r"\b(AIza[\w-]{30,}|AKIA[0-9A-Z]{16}|ya29\.[\w-]{16,})", _always),
    (r"(?s)(-----BEGIN [A-Z ]{1,40}-----.*?(?:-----END [A-Z ]{1,40}-----|\z))", _always),
    (r"(?i)\b[a-z][a-z0-9+.-]{1,20}://([^\s/@:\"]{0,200}:[^\s/@\"]{1,500})@", _always),
    (r"(?i)[?&](?:" + "|".join(query_keys) + r")=([^&#\s\"'<>\\]+)", _always),
)
_patterns: tuple[tuple[Any, Callable[[str], bool]], ...] = tuple(
    (re2.compile(pattern), is_secret)  # type: ignore[no-untyped-call] # the library has no types
    for pattern, is_secret in _looks
)
_any = re2.compile("|".join(f"(?:{pattern})" for pattern, _ in _looks))  # type: ignore[no-untyped-call]


def _whole(text: str) -> str:
    """The same text with each half of a character replaced, which UTF-8 and so RE2 cannot take."""
    return text if text.isascii() else _half.sub("\ufffd", text)


def may_look_secret(text: str) -> bool:
    """One quick look whether any pattern is worth trying."""
    return _any.search(_whole(text)) is not None


def without_looks(text: str) -> str:
    """The same text without what looks like a secret."""
    if not may_look_secret(text):
        return text
    text = _whole(text)
    for pattern, is_secret in _patterns:
        pieces, last = [], 0
        for found in pattern.finditer(text):
            if found[1] != MASK and is_secret(found[1]):
                pieces += [text[last : found.start(1)], MASK]
                last = found.end(1)
        text = "".join([*pieces, text[last:]])
    return text
