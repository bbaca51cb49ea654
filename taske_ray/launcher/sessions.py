"""The run directory: what Ray and HAProxy leave in it, which nobody else cleans."""

import contextlib
import shutil
from pathlib import Path
from typing import Final

KEPT: Final = 2
"""Sessions whose logs stay readable after their end."""


def clean(run_dir: Path) -> None:
    """Before a start: everything goes but the logs of the last sessions."""
    close(run_dir)
    old = sorted((run_dir / "r").glob("session_2*"), reverse=True)  # Ray names them by their time
    for session in old[KEPT:]:
        shutil.rmtree(session, ignore_errors=True)


def close(run_dir: Path) -> None:
    """After a stop: no socket, no token, no configuration stays; Ray's logs do."""
    for left in run_dir.iterdir() if run_dir.exists() else ():
        if left.name != "r":
            _remove(left)
    for left in (run_dir / "r").glob("session_*/*"):
        if left.name != "logs":
            _remove(left)
    _remove(run_dir / "r" / "session_latest")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()
