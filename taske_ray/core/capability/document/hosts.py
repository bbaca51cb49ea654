"""Host binding (format, section 3): which hosts requests, redirects and next pages may go to. Whole labels and port."""

from collections.abc import Iterable

from taske_ray.core.url import BadUrl, canonical_host, default_ports, parse_url

_highest_port = 65535


def is_host_pattern(text: str) -> bool:
    """Whether a text is `host`, `*.suffix`, `host:port` or `*`."""
    if text == "*":
        return True
    name, port = _split(text)
    try:
        canonical_host(name.removeprefix("*."))
    except BadUrl:
        return False
    return (":" not in name or name.startswith("[")) and (port is None or 0 < port <= _highest_port)


def host_of(url: str) -> str:
    """The host of a URL as a pattern that allows exactly it: with the port where it is not the scheme's own.

    Raises BadUrl.
    """
    parsed = parse_url(url)
    host = f"[{parsed.host}]" if ":" in parsed.host else parsed.host
    return host if parsed.port == default_ports[parsed.scheme] else f"{host}:{parsed.port}"


def is_allowed(url: str, patterns: Iterable[str]) -> bool:
    """Whether a URL goes to one of the allowed hosts; what is no URL does not."""
    try:
        return is_bound_to(patterns, *parse_url(url).origin)
    except BadUrl:
        return False


def is_bound_to(patterns: Iterable[str], scheme: str, host: str, port: int) -> bool:
    """Whether one of the patterns covers a canonical host.

    `host` and `*.suffix` (not the suffix itself) mean the scheme's own port, `host:port` that port, `*` anything.
    """
    return any(_covers(pattern, scheme, host, port) for pattern in patterns)


def origin_of(url: str) -> tuple[str, str]:
    """Scheme and host with port: what decides whether credentials go along. Empty for what is no URL."""
    try:
        return parse_url(url).scheme, host_of(url)
    except BadUrl:
        return "", ""


def _covers(pattern: str, scheme: str, host: str, port: int) -> bool:
    if pattern == "*":
        return True
    name, wanted_port = _split(pattern)
    if port != (default_ports[scheme] if wanted_port is None else wanted_port):
        return False
    wildcard = name.startswith("*.")
    try:
        wanted = canonical_host(name.removeprefix("*."))
    except BadUrl:
        return False
    return host.endswith("." + wanted) if wildcard else host == wanted


def _split(pattern: str) -> tuple[str, int | None]:
    name, separator, port = pattern.rpartition(":")
    if separator and port.isdecimal() and (":" not in name or name.endswith("]")):
        return name, int(port)
    return pattern, None
