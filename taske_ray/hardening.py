"""What a process gives up at its start, for itself and everything it starts: core dumps, and ways to gain rights."""

import ctypes
import resource
from typing import Final

_PR_SET_NO_NEW_PRIVS: Final = 38


def harden() -> None:
    """No core dump, which would hold keys and credentials (security, 9.5), and no new privileges (16.8)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
