"""The data directory of one instance: private, and used by one `taske up` at a time."""

import fcntl
import hashlib
import os
import stat
import tempfile
from pathlib import Path
from typing import IO, Final

from taske_ray.errors import StartRefused

LONGEST_RUN_DIR: Final = 36
"""Ray and HAProxy make Unix sockets up to 70 bytes below it, and a socket's path ends at 107."""


class InUse(StartRefused):
    """The data directory is in use by another instance."""

    code = "data_dir_in_use"


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

    def claim(self) -> None:
        """Create what is missing, close it to others and take the lock; raises InUse if another instance holds it."""
        _private(self.path)
        lock = self._locked()
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        _private(self.run_dir)

    def release(self) -> None:
        """Give the lock back and leave no file of it; safe to call twice."""
        if self._lock is not None:
            (self.path / "lock").unlink(missing_ok=True)  # still ours: see `_locked`
            self._lock.close()
            self._lock = None

    def _locked(self) -> IO[str]:
        """The lock file, locked, and still the one that stands there: its last holder removed it on the way out."""
        path = self.path / "lock"
        while True:
            lock = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = lock.read().strip() or "another one"
                lock.close()
                raise InUse(
                    f"{self.path} is in use by a running instance (process {holder}); "
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
