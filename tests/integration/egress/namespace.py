"""A network of this process's own in which every address there is leads to loopback, made with nothing but the kernel.

All IPv4 and IPv6 addresses are local here (metadata, private, public-looking), so that one listener on "any" address
hears of every connection, wherever it was meant to go. One address belongs to the interface, as a public address of the
machine would. Needs root or unprivileged user namespaces.
"""

import ctypes
import ctypes.util
import os
import socket
import struct
from pathlib import Path

OWN_ADDRESS = "8.8.4.4"
_NEWNS, _NEWUSER, _NEWNET = 0x00020000, 0x10000000, 0x40000000
_BIND, _REC, _PRIVATE = 4096, 16384, 1 << 18
_REQUEST_ACK_CREATE = 0x1 | 0x4 | 0x400
_NEWLINK, _NEWADDR, _NEWROUTE = 16, 20, 24
_LOOPBACK, _UP = 1, 1
_libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)


def enter(folder: Path, *, nameserver: str, search: str) -> None:
    """Move this process into a network of its own; raises OSError where that is not possible."""
    if os.geteuid() == 0:
        _check(_libc.unshare(_NEWNET | _NEWNS))
    else:
        _enter_as_user()
    _check(_libc.mount(None, b"/", None, _REC | _PRIVATE, None))
    _replace("/etc/resolv.conf", folder, f"nameserver {nameserver}\nsearch {search}\noptions timeout:1 attempts:2\n")
    _replace("/etc/nsswitch.conf", folder, "hosts: files dns\n")
    _build()


def has_v6() -> bool:
    """Whether IPv6 works here at all."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(("2606:4700::1", 9))  # asks for a route and sends nothing
    except OSError:
        return False
    return True


def _enter_as_user() -> None:
    user, group = os.geteuid(), os.getegid()
    _check(_libc.unshare(_NEWUSER | _NEWNET | _NEWNS))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _replace(path: str, folder: Path, text: str) -> None:
    """Another text at this path, for this process alone."""
    place = Path(path).resolve()
    if not place.exists():
        raise OSError(f"{place} is not there to be replaced")
    own = folder / place.name
    own.write_text(text)
    _check(_libc.mount(os.fsencode(own), os.fsencode(place), None, _BIND, None))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _build() -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        _ask(kernel, _NEWLINK, struct.pack("=BxHiII", 0, 0, _LOOPBACK, _UP, _UP))
        for family in (socket.AF_INET, socket.AF_INET6):
            # table local, protocol static, scope host, type local; attribute 4 is the interface
            route = struct.pack("=BBBBBBBBI", family, 0, 0, 0, 255, 4, 254, 2, 0)
            try:
                _ask(kernel, _NEWROUTE, route + struct.pack("=HHi", 8, 4, _LOOPBACK))
            except OSError:
                if family == socket.AF_INET:
                    raise  # without IPv6 the cases of IPv6 are left out
        address = socket.inet_aton(OWN_ADDRESS)
        attributes = b"".join(struct.pack("=HH", 8, kind) + address for kind in (1, 2))
        _ask(kernel, _NEWADDR, struct.pack("=BBBBI", socket.AF_INET, 32, 0, 0, _LOOPBACK) + attributes)


def _ask(kernel: socket.socket, kind: int, payload: bytes) -> None:
    kernel.send(struct.pack("=IHHII", 16 + len(payload), kind, _REQUEST_ACK_CREATE, 1, 0) + payload)
    error = struct.unpack_from("=i", kernel.recv(4096), 16)[0]
    if error:
        raise OSError(-error, os.strerror(-error))
