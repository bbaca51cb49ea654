"""What is this machine's and this instance's own: addresses that count as private, ports that no network entry opens.

Both change while a process lives (a new lease, a restarted replica), so they are looked at again when a connection is
about to be made and the last look is a few seconds old.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from socket import AF_INET, AF_INET6
from urllib.parse import urlsplit

import psutil

from taske_ray.integrations.egress import EgressGuard
from taske_ray.settings import Settings

Address = IPv4Address | IPv6Address
_kept_s = 5.0
_instance = b"TASKE_INSTANCE="
_listening = "0A"


class OwnMachine:
    """Answers for one instance. `ports` are known beforehand: those of its front door and of its database."""

    def __init__(self, *, ports: Iterable[int] = (), monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ports = frozenset(ports)
        self._monotonic = monotonic
        self._addresses: frozenset[Address] = frozenset()
        self._listens: frozenset[int] = frozenset()
        self._addresses_until = self._listens_until = -1.0

    def has_address(self, address: Address) -> bool:
        """Whether one of this machine's interfaces has it."""
        if self._monotonic() >= self._addresses_until:
            self._addresses = frozenset(interface_addresses())
            self._addresses_until = self._monotonic() + _kept_s
        return address in self._addresses

    def has_port(self, address: Address, port: int) -> bool:
        """Whether this instance answers there: the front door and the database anywhere, the rest on this machine."""
        if port in self._ports:
            return True
        if not address.is_loopback and not self.has_address(address):
            return False
        if self._monotonic() >= self._listens_until:
            self._listens = frozenset(instance_ports())
            self._listens_until = self._monotonic() + _kept_s
        return port in self._listens


def open_guard(settings: Settings, *, also: Iterable[str] = ()) -> EgressGuard:
    """The egress guard of this instance. `also`: entries that follow from other words of the operator."""
    database = urlsplit(settings.database_url or "").port
    ports = (settings.port, database) if database else (settings.port,)
    return EgressGuard((*settings.egress_allow, *also), own=OwnMachine(ports=ports))


def own_urls(settings: Settings) -> tuple[str, ...]:
    """Where this instance answers: its public address, and the front door."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return (settings.url, f"http://{host}:{settings.port}")


def interface_addresses() -> Iterator[Address]:
    """Every address of this machine's interfaces."""
    for card in psutil.net_if_addrs().values():
        yield from (ip_address(each.address.partition("%")[0]) for each in card if each.family in (AF_INET, AF_INET6))


def instance_ports() -> Iterator[int]:
    """Every TCP port on which a process listens that the launcher started together with this one; none without it."""
    mark = _mark(Path("/proc/self"))
    if mark is None:
        return
    sockets = {name for process in _processes() if _mark(process) == mark for name in _sockets(process)}
    for table in ("tcp", "tcp6"):
        for line in _lines(Path("/proc/self/net") / table):
            fields = line.split()
            if len(fields) > 9 and fields[3] == _listening and fields[9] in sockets:  # noqa: PLR2004 - the inode's column
                yield int(fields[1].rpartition(":")[2], 16)


def _processes() -> Iterator[Path]:
    return (Path("/proc") / name for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 - names alone


def _mark(process: Path) -> bytes | None:
    try:
        environment = (process / "environ").read_bytes()
    except OSError:  # ended meanwhile, or somebody else's
        return None
    return next((entry for entry in environment.split(b"\0") if entry.startswith(_instance)), None)


def _sockets(process: Path) -> Iterator[str]:
    """The inodes of a process's sockets."""
    try:
        for descriptor in (process / "fd").iterdir():
            target = os.readlink(descriptor)  # noqa: PTH115 - a text, no path
            if target.startswith("socket:["):
                yield target[8:-1]
    except OSError:
        return


def _lines(table: Path) -> list[str]:
    try:
        return table.read_text().splitlines()[1:]
    except OSError:
        return []
