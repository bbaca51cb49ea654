"""Finding and ending the processes of one instance, and only those.

Two independent marks, because each misses something: an environment variable that every descendant inherits (a program
may overwrite the place it is read from), and a file with process ids and start times (a crash may come before a note).
PostgreSQL is not here: `db/embedded.py` knows its own.
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import psutil

MARK: Final = "TASKE_INSTANCE"
"""Set to the data directory in everything that the launcher starts."""


class Ledger:
    """`processes.json`: which processes of ours run, by role; survives us to tell our successor."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._file = data_dir / "processes.json"
        self._notes: dict[str, tuple[int, int]] = {}

    def note(self, role: str, pid: int) -> None:
        """Remember the process that has this role now; one that is gone already is not worth a note."""
        started = started_at(pid)
        if started is not None and self._notes.get(role) != (pid, started):
            self._notes[role] = (pid, started)
            self._save()

    def forget(self) -> None:
        """Nothing of ours runs any more."""
        self._notes.clear()
        self._file.unlink(missing_ok=True)

    def is_alive(self, role: str) -> bool:
        """Whether the noted process still runs."""
        pid, started = self._notes.get(role, (0, 0))
        return pid != 0 and started_at(pid) == started

    def living(self) -> list[psutil.Process]:
        """Every process of this instance, ours or our predecessor's, but for this one."""
        noted = {pid for pid, started in self._noted() if started_at(pid) == started}
        found = {process.pid: process for process in marked(self.data_dir)}
        for pid in noted - found.keys() - {os.getpid()}:
            with contextlib.suppress(psutil.NoSuchProcess):
                found[pid] = psutil.Process(pid)
        for process in list(found.values()):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.update((child.pid, child) for child in process.children(recursive=True))
        return list(found.values())

    def _noted(self) -> Iterable[tuple[int, int]]:
        with contextlib.suppress(OSError, ValueError, TypeError):
            return [(int(pid), int(started)) for pid, started in json.loads(self._file.read_text()).values()]
        return []

    def _save(self) -> None:
        fresh = self._file.with_suffix(".new")
        with contextlib.suppress(OSError):  # no room for it: the mark finds them
            fresh.write_text(json.dumps(self._notes))
            fresh.chmod(0o600)
            fresh.replace(self._file)


def started_at(pid: int) -> int | None:
    """When the process started, in clock ticks since boot, which no clock change moves; None for none or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def marked(data_dir: Path, *, program: str | None = None) -> list[psutil.Process]:
    """The processes, but for this one, that carry the mark of this instance; with `program`, those that run it."""
    mark = f"{MARK}={data_dir}".encode()
    found = [process for process in psutil.process_iter() if process.pid != os.getpid() and _carries(process.pid, mark)]
    return [process for process in found if program is None or _runs(process, program)]


def kill(processes: Iterable[psutil.Process]) -> None:
    """End these at once."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def end(find: Callable[[], list[psutil.Process]], *, within_s: float) -> bool:
    """Ask what `find` finds to end, force what is left after `within_s`; whether nothing is left."""
    for number, patience in ((signal.SIGTERM, within_s), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            remaining = [process for process in find() if started_at(process.pid) is not None]
            if not remaining:
                return True
            for process in remaining:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(number)
            psutil.wait_procs(remaining, timeout=min(1.0, patience))
    return not find()


def _runs(process: psutil.Process, program: str) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.name() == program
    return False


def _carries(pid: int, mark: bytes) -> bool:
    try:
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
