"""Reading a URL once, into the parts that are checked and then sent (security, 10.5). Pure."""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import quote, urlsplit

import idna

from taske_ray.errors import TaskeError

default_ports = {"http": 80, "https": 443}

_label = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_unsafe = re.compile(r"[\x00-\x20\x7f-\x9f\\\s]")
_lone_percent = re.compile(r"%(?![0-9A-Fa-f]{2})")
_kept = "%/:@!$&'()*+,;=~-._?[]"
_max_url = 16 * 1024
_max_host = 253  # RFC 1035


class BadUrl(TaskeError):
    """The URL must be http or https with a host, and without user, password, spaces or backslashes."""

    code = "bad_url"


@dataclass(frozen=True, slots=True)
class WebUrl:
    """An absolute http or https URL; `host` is canonical, `port` always known, `target` is path and query, encoded."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What decides whether a credential may follow."""
        return self.scheme, self.host, self.port

    @property
    def text(self) -> str:
        """The URL written from its parts."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == default_ports[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.target}"


def parse_url(url: str) -> WebUrl:
    """The URL in parts, its fragment dropped; raises BadUrl."""
    if not isinstance(url, str) or len(url) > _max_url:
        raise BadUrl
    return _parsed(url)


@lru_cache(maxsize=64)  # a call has its URL checked at every door that it passes
def _parsed(url: str) -> WebUrl:
    if _unsafe.search(url):
        raise BadUrl
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadUrl from None
    if parts.scheme not in default_ports or not parts.hostname or "@" in parts.netloc or port == 0:
        raise BadUrl
    query = f"?{_encoded(parts.query)}" if parts.query else ""
    return WebUrl(
        scheme=parts.scheme,
        host=canonical_host(parts.hostname),
        port=port or default_ports[parts.scheme],
        target=(_encoded(parts.path) or "/") + query,
    )


@lru_cache(maxsize=4096)
def canonical_host(host: str) -> str:
    """Lower case, A-labels (IDNA 2008), no trailing dot; IPv6 without brackets; raises BadUrl."""
    host = host.removeprefix("[").removesuffix("]")
    if ":" in host:
        return _canonical_v6(host)
    name = _ascii_name(host.lower().removesuffix("."))
    labels = name.split(".")
    if len(name) > _max_host or not all(_label.fullmatch(label) for label in labels):
        raise BadUrl
    # `127.1`, `0x7f.1` and `2130706433` are addresses to some resolvers; only the four-part form is one here.
    if _is_numeric(labels[-1]) and literal_address(name) is None:
        raise BadUrl
    return name


def literal_address(host: str) -> IPv4Address | IPv6Address | None:
    """The address that a canonical host is, if it is one."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _canonical_v6(host: str) -> str:
    try:
        address = IPv6Address(host)
    except ValueError:
        raise BadUrl from None
    if address.scope_id is not None:
        raise BadUrl
    return address.compressed


def _ascii_name(name: str) -> str:
    if name.isascii():
        return name
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise BadUrl from None


def _is_numeric(label: str) -> bool:
    return label.isdecimal() or (label.startswith("0x") and all(c in "0123456789abcdef" for c in label[2:]))


def _encoded(part: str) -> str:
    try:
        return quote(_lone_percent.sub("%25", part), safe=_kept)
    except UnicodeEncodeError:  # a lone surrogate
        raise BadUrl from None
