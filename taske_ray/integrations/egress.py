"""Where this instance may connect to: names, ports and addresses (security, section 10). Pure policy, no sockets.

The decision that counts is made twice: in `resolver.py` on every answer of a name look-up, and in
`guarded_transport.py` on the very address a socket is made for. What is refused for its place looks the same whatever
is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Protocol

from taske_ray.core.url import BadUrl, WebUrl, canonical_host, literal_address, parse_url
from taske_ray.errors import StartRefused, TaskeError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Ports of protocols that a request line could be smuggled into, or whose servers trust their network (10.9).
_closed_ports = frozenset({22, 25, 465, 587, 6379, 5432, 3306, 9200, 11211, 27017})

_denied_v4 = tuple(
    ip_network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_global_v6 = ip_network("2000::/3")
_denied_v6 = tuple(ip_network(block) for block in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))

# Names that only a private network gives a meaning to; an answer and no answer must look alike for them (10.9).
_private_suffixes = frozenset(
    {"localhost", "local", "internal", "intranet", "lan", "home", "corp", "private", "localdomain", "test", "invalid",
     "onion", "arpa"}
)  # fmt: skip


class EgressDenied(TaskeError):
    """This address is unknown or not public; the operator can allow it with TASKE_EGRESS_ALLOW.

    One text for all that is refused for its place: it must not tell which of the two it was (10.9).
    """

    code = "egress_denied"


class Own(Protocol):
    """What belongs to this machine and this instance (`own.py`)."""

    def has_address(self, address: Address) -> bool:
        """Whether it is one of this machine's: as private as loopback, however public it looks."""
        ...

    def has_port(self, address: Address, port: int) -> bool:
        """Whether one of our own servers is there (API, PostgreSQL, Ray, HAProxy)."""
        ...


@dataclass(frozen=True, slots=True)
class _AllowedNetwork:
    network: Network
    port: int | None


class EgressGuard:
    """The policy of one instance, from the entries of `TASKE_EGRESS_ALLOW`.

    An entry without a port never opens a port of our own. Raises StartRefused for an entry that makes no sense.
    """

    def __init__(self, allow: Sequence[str] = (), *, own: Own | None = None) -> None:
        self._own = own
        self._names: set[tuple[str, int]] = set()
        self._networks: list[_AllowedNetwork] = []
        for entry in allow:
            self._read_entry(entry)

    def check_url(self, url: str) -> WebUrl:
        """The URL parsed once, with its host in canonical form and allowed as far as the name and port tell.

        Raises BadUrl or EgressDenied.
        """
        parsed = parse_url(url)
        self.check_host(parsed.host, parsed.port)
        return parsed

    def check_host(self, host: str, port: int, *, http: bool = True) -> None:
        """Refuse a closed port, a denied literal address and a private name; raises EgressDenied.

        `http` false: another protocol is spoken, to a port of its own that is closed to HTTP alone.
        """
        if (host, port) in self._names:
            return
        if http and port in _closed_ports:
            raise EgressDenied
        if (address := literal_address(host)) is not None:
            self.check_address(host, address, port, http=http)
        elif is_private_name(host) and not self._networks:
            raise EgressDenied

    def check_address(self, host: str | None, address: Address | str, port: int, *, http: bool = True) -> None:
        """Refuse to connect to `address`, the answer for `host` (None: no name is known); raises EgressDenied."""
        ip = ip_address(address.partition("%")[0]) if isinstance(address, str) else address
        if host is not None and (host, port) in self._names:
            return
        if any(self._opens(entry, ip, port, http=http) for entry in self._networks):
            return
        closed = http and port in _closed_ports
        if closed or is_denied_address(ip) or (self._own is not None and self._own.has_address(ip)):
            raise EgressDenied

    def looks_up_as_written(self, host: str, port: int) -> bool:
        """Whether a name may be one of the operator's own network: found in a hosts file or by a search domain."""
        return (host, port) in self._names or bool(self._networks)

    def allows_plain_http(self, host: str, port: int) -> bool:
        """Whether the operator covers this host and port, so that a credential may go there without TLS."""
        if (host, port) in self._names:
            return True
        address = literal_address(host)
        return address is not None and any(self._opens(entry, address, port) for entry in self._networks)

    def _opens(self, entry: _AllowedNetwork, address: Address, port: int, *, http: bool = True) -> bool:
        if address.version != entry.network.version or address not in entry.network:
            return False
        if http and port in _closed_ports:
            return False
        if entry.port is not None:
            return entry.port == port
        return self._own is None or not self._own.has_port(address, port)

    def _read_entry(self, entry: str) -> None:
        place, port = _split_port(entry)
        try:
            if "/" in place or port is None:
                self._networks.append(_AllowedNetwork(ip_network(place, strict=False), port))
            else:
                self._names.add((canonical_host(place), port))
        except (ValueError, BadUrl):
            raise StartRefused(f"TASKE_EGRESS_ALLOW: {entry!r} is neither host:port nor CIDR nor CIDR:port") from None


def is_private_name(host: str) -> bool:
    """Whether only a private network gives this name a meaning: one label, or a suffix kept for such networks."""
    head, _, suffix = host.rpartition(".")
    return not head or suffix in _private_suffixes


def is_denied_address(address: Address) -> bool:
    """Whether the table of 10.2 denies this address; everything that embeds an IPv4 address is thereby denied."""
    if isinstance(address, IPv4Address):
        return any(address in block for block in _denied_v4)
    return address not in _global_v6 or any(address in block for block in _denied_v6)


def _split_port(entry: str) -> tuple[str, int | None]:
    """`[::1]:80` and `name:80` have a port; `::1/128` and `10.0.0.0/8` have none."""
    place, separator, port = entry.rpartition(":")
    bracketed = place.startswith("[") and place.endswith("]")
    if not separator or (":" in place and not bracketed) or not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004 - ports
        return entry.removeprefix("[").removesuffix("]"), None
    return place.removeprefix("[").removesuffix("]"), int(port)
