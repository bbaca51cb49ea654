"""Host binding (format, section 3): which hosts requests, redirects and next pages may go to. Whole labels and port."""

import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

_label = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_pattern = re.compile(rf"(?:(?:\*\.)?{_label}(?:\.{_label})*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?")
_scheme_ports = {"https": 443, "http": 80}
_highest_port = 65535


def is_host_pattern(text: str) -> bool:
    """Whether a text is `host`, `*.suffix`, `host:port` or `*`."""
    if text == "*":
        return True
    found = _pattern.fullmatch(canonical_host(text))
    return found is not None and (found["port"] is None or 0 < int(found["port"]) <= _highest_port)


def canonical_host(text: str) -> str:
    """Lower case, without a final dot, international names in their ASCII form; unchanged where there is none."""
    lowered = text.lower().rstrip(".")
    if lowered.isascii():
        return lowered
    try:
        return lowered.encode("idna").decode("ascii")
    except UnicodeError:
        return lowered


def host_of(url: str | SplitResult) -> str:
    """The host of a URL as a pattern that allows exactly it: with the port where it is not the scheme's own."""
    parts = urlsplit(url) if isinstance(url, str) else url
    name = canonical_host(parts.hostname or "")
    bracketed = f"[{name}]" if ":" in name else name
    own = parts.port is None or parts.port == _scheme_ports.get(parts.scheme)
    return bracketed if own else f"{bracketed}:{parts.port}"


def is_allowed(url: str | SplitResult, patterns: Iterable[str]) -> bool:
    """Whether a URL goes to one of the allowed hosts."""
    host = host_of(url)
    return any(_matches(host, pattern) for pattern in patterns)


def origin_of(url: str) -> tuple[str, str]:
    """Scheme and host with port: what decides whether credentials go along. Empty for what is no URL."""
    try:
        parts = urlsplit(url)
        return parts.scheme, host_of(parts)
    except ValueError:
        return "", ""


def _matches(host: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    wanted = canonical_host(pattern)
    if wanted.startswith("*."):
        return host.endswith(wanted[1:])
    return host == wanted
