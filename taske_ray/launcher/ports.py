"""Ports for one instance that no other instance on this machine has."""

import hashlib
import os
import socket
from pathlib import Path
from typing import Final

from taske_ray.errors import StartRefused

FIRST: Final = 20_000
BLOCK: Final = 50
BLOCKS: Final = (32_700 - FIRST) // BLOCK
"""Below Linux's ephemeral range (32768 and up), where any outgoing connection may sit on a port."""

_PROBED: Final = 12
"""As many replicas as one machine starts with, twice over for a rolling update, and the ports at the block's head."""


def block(data_dir: Path) -> range:
    """A block of free ports, the same one at each start unless somebody took it meanwhile."""
    start = int.from_bytes(hashlib.sha256(os.fsencode(data_dir)).digest()[4:8])
    for step in range(BLOCKS):
        first = FIRST + (start + step) % BLOCKS * BLOCK
        if all(is_free("127.0.0.1", port) for port in range(first, first + _PROBED)):
            return range(first, first + BLOCK)
    raise StartRefused(f"no free ports between {FIRST} and {FIRST + BLOCK * BLOCKS}")


def is_free(host: str, port: int) -> bool:
    """Whether something could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
