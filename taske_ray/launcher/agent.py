"""Stands in for Ray's two helper processes per node, which serve a dashboard and environments that we do not use.

They cost 130 MB and two open ports. Ray's raylet needs only to be told that their ports are not in use, and ends when
they end. Run by path with the standard library alone: 8 MB.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Final

PORTS: Final = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
NOT_IN_USE: Final = "-1"
_PR_SET_PDEATHSIG: Final = 1


def main(arguments: list[str]) -> None:
    """Write the ports that Ray's own command line asks for, then wait for the raylet's end."""
    options = dict(part[2:].split("=", 1) for part in arguments if part.startswith("--") and "=" in part)
    for name in PORTS:
        path = Path(options["session-dir"]) / f"{name}_{os.environ['RAY_NODE_ID']}"
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.write_text(NOT_IN_USE)
        fresh.replace(path)  # whole or not at all: the raylet is waiting for it
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    while os.getppid() != 1:
        signal.sigtimedwait([], 10.0)


if __name__ == "__main__":
    main(sys.argv[1:])
