"""The data directory of one instance: private, and used by one `taske up` at a time."""

import contextlib
import fcntl
import hashlib
import os
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from taske_ray.errors import StartRefused

LONGEST_RUN_DIR: Final = 36
"""Ray and HAProxy make Unix sockets up to 70 bytes below it, and a socket's path ends at 107."""


GLANCE_S: Final = 0.3
"""`holder` locks for a moment too: only who holds on for longer than that is an instance."""


class InUse(StartRefused):
    """The data directory is in use by another instance."""

    code = "data_dir_in_use"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who runs a data directory, and at which address."""

    pid: int
    url: str


class DataDir:
    """Holds the lock of a data directory from `claim` until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: IO[str] | None = None

    @property
    def run_dir(self) -> Path:
        """Where sockets, tokens and Ray's session live: inside, or under a short private name elsewhere."""
        inside = self.path / "run"
        if len(os.fsencode(inside)) <= LONGEST_RUN_DIR:
            return inside
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:12]
        outside = Path(tempfile.gettempdir()) / f"taske-run-{digest}"
        if len(os.fsencode(outside)) > LONGEST_RUN_DIR:
            outside = Path("/tmp") / outside.name  # noqa: S108 - private() below refuses one that is not ours
        return outside

    def holder(self) -> Holder | None:
        """The instance that runs it now, or None; never in the way of one that starts."""
        with contextlib.suppress(FileNotFoundError), (self.path / "lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                pid, _, url = lock.read().partition(" ")
                return Holder(int(pid), url) if pid.isdecimal() else None
        return None

    def claim(self, url: str) -> None:
        """Create what is missing, close it to others and take the lock, noting where the instance will answer.

        Raises InUse if another instance holds it.
        """
        _private(self.path)
        lock = self._locked()
        lock.truncate(0)
        lock.write(f"{os.getpid()} {url}")
        lock.flush()
        self._lock = lock
        _private(self.run_dir)

    def release(self) -> None:
        """Give the lock back and leave no file of it; safe to call twice."""
        if self._lock is not None:
            if self.run_dir.parent != self.path:
                with contextlib.suppress(OSError):  # logs stay readable, and then so does their place
                    self.run_dir.rmdir()
            (self.path / "lock").unlink(missing_ok=True)  # still ours: see `_locked`
            self._lock.close()
            self._lock = None

    def _locked(self) -> IO[str]:
        """The lock file, locked, and still the one that stands there: its last holder removed it on the way out."""
        path = self.path / "lock"
        deadline = time.monotonic() + GLANCE_S
        while True:
            lock = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid, _, url = lock.read().partition(" ")
                lock.close()
                if time.monotonic() < deadline:
                    time.sleep(GLANCE_S / 10)
                    continue
                raise InUse(
                    f"{self.path} is in use by process {pid or 'unknown'}{url and f' at {url}'}; "
                    "stop it or choose another --data-dir"
                ) from None
            if path.exists() and path.samefile(f"/proc/self/fd/{lock.fileno()}"):
                return lock
            lock.close()


def _private(path: Path) -> None:
    """Make `path` a directory that only we can enter; refuse one that somebody else owns or others use."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise StartRefused(f"{path} is not a directory")
    if found.st_uid != os.geteuid():
        raise StartRefused(f"{path} belongs to another user (id {found.st_uid})")
    if found.st_mode & 0o077:
        if any(path.iterdir()) and not (path / "postgres").exists():
            raise StartRefused(f"{path} is open to other users and holds other files; choose a directory of its own")
        path.chmod(0o700)
