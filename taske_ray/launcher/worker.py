"""What Ray runs to start a worker: hands the order to the nursery, or starts the worker the ordinary way without one.

Run by path with the standard library alone, in Ray's own place for such a script (`setup_worker_path`): Ray's own loads
all of Ray only to execute the next program.
"""

import json
import os
import socket
import sys
from pathlib import Path
from typing import Final

NURSERY: Final = "TASKE_NURSERY"
"""The path of the nursery's socket."""
ANSWER_LIMIT_S: Final = 20.0
_FOR_SETUP: Final = ("--language=", "--serialized-runtime-env-context=")
"""Meant for Ray's own script in this place; we have neither other languages nor runtime environments."""


def main(arguments: list[str]) -> None:
    """`worker.py WORKER-PROGRAM OPTIONS…` as the raylet gives them."""
    arguments = [each for each in arguments if not each.startswith(_FOR_SETUP)]
    path = os.environ.get(NURSERY)
    if path and _born(path, arguments):
        return
    os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - becoming that program is the purpose


def _born(path: str, arguments: list[str]) -> bool:
    """Whether the nursery has taken the order."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as nursery:
            nursery.settimeout(ANSWER_LIMIT_S)
            nursery.connect(path)
            nursery.sendall(json.dumps([arguments, dict(os.environ), str(Path.cwd())]).encode() + b"\n")
            return nursery.recv(8).startswith(b"born")
    except OSError:
        return False


if __name__ == "__main__":
    main(sys.argv[1:])
