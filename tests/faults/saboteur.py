"""Faults as they come: a process of the instance is killed or stopped, found by the instance's own marks.

Nothing outside the instance is touched: processes carry its mark in their environment, PostgreSQL's are the children of
the postmaster that its data directory names.
"""

import contextlib
import random
import signal
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from taske_ray.db.embedded import EmbeddedPostgres
from taske_ray.launcher import processes

HEADS: Final = ("GCS", "raylet", "runtime")
"""Parts without which Ray as a whole is started again."""
STOP_S: Final = 60.0
DATABASE_STOP_S: Final = 20.0

_titles: Final = {
    "RunHost": "ray::RunHost",
    "WatcherHost": "ray::WatcherHost",
    "IntegrationClient": "ray::IntegrationClient",
    "TriggerSupervisor": "ray::TriggerSupervisor",
    "Serve replica": "ray::ServeReplica",
    "hooks replica": "ray::ServeReplica:hooks",
    "Serve controller": "ray::ServeController",
    "HAProxy": "haproxy",
    "raylet": "raylet",
    "GCS": "gcs_server",
    "runtime": "taske_ray.launcher.runtime",
    "nursery": "taske_ray.launcher.nursery",
}
WEIGHTS: Final = {
    ("RunHost", "kill"): 24,
    ("IntegrationClient", "kill"): 20,
    ("WatcherHost", "kill"): 10,
    ("TriggerSupervisor", "kill"): 6,
    ("Serve replica", "kill"): 12,
    ("Serve controller", "kill"): 3,
    ("HAProxy", "kill"): 5,
    ("postgres backend", "kill"): 6,
    ("postmaster", "immediate"): 3,
    ("raylet", "kill"): 2,
    ("GCS", "kill"): 2,
    ("runtime", "kill"): 1,
    ("nursery", "kill"): 1,
    ("RunHost", "stop"): 3,
    ("IntegrationClient", "stop"): 2,
    ("WatcherHost", "stop"): 2,
    ("TriggerSupervisor", "stop"): 1,
    ("Serve replica", "stop"): 2,
    ("Serve controller", "stop"): 1,
    ("HAProxy", "stop"): 2,
    ("raylet", "stop"): 1,
    ("GCS", "stop"): 1,
    ("nursery", "stop"): 1,
    ("postmaster", "stop"): 1,
}
"""How often each fault is drawn; those that take the whole service down are rare, or nothing else would be seen."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What was done to what, and when it was over: a stopped process goes on at `until`. Monotonic seconds."""

    at: float
    until: float
    kind: str
    way: str
    pid: int

    @property
    def name(self) -> str:
        """The row of the table."""
        return f"{self.kind} {'SIGSTOP' if self.way == 'stop' else 'kill -9' if self.way == 'kill' else 'immediate'}"


class Saboteur:
    """Draws faults from a seeded chance; `faults` is what really happened. What it stops goes on after `stop_s`."""

    def __init__(self, data_dir: Path, chance: random.Random, *, stop_s: float = STOP_S) -> None:
        self._data_dir = data_dir
        self._stop_s = stop_s
        self._chance = chance
        self._postgres = EmbeddedPostgres(data_dir)
        self._stopped: dict[int, threading.Timer] = {}
        self.faults: list[Fault] = []

    def strike(self) -> Fault | None:
        """One fault, of a kind that is there; None when nothing was found."""
        (kind, way), *_ = self._chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
        if way == "stop" and self._stopped:
            way = "kill" if kind != "postmaster" else "immediate"  # one stopped part at a time: the others must go on
        found = self.find(kind)
        if not found:
            return None
        return self.do(kind, way, self._chance.choice(sorted(found, key=lambda process: process.pid)))

    def do(self, kind: str, way: str, victim: psutil.Process) -> Fault | None:
        """Carry a fault out."""
        now = time.monotonic()
        pause = (DATABASE_STOP_S if kind == "postmaster" else self._stop_s) if way == "stop" else 0.0
        try:
            if way == "kill":
                victim.send_signal(signal.SIGKILL)
            elif way == "immediate":
                victim.send_signal(signal.SIGQUIT)
            else:
                self._stop([victim, *(victim.children() if kind == "postmaster" else [])], pause)
        except psutil.Error:
            return None
        fault = Fault(now, now + pause, kind, way, victim.pid)
        self.faults.append(fault)
        return fault

    def find(self, kind: str) -> list[psutil.Process]:
        """The instance's processes of a kind."""
        if kind in ("postmaster", "postgres backend"):
            return self._database(kind)
        title = _titles[kind]
        return [process for process in processes.marked(self._data_dir) if _is(process, title)]

    def close(self) -> None:
        """Let everything go on that is still stopped."""
        for pid, timer in list(self._stopped.items()):
            timer.cancel()
            self._resume(pid)

    def _database(self, kind: str) -> list[psutil.Process]:
        pid = self._postgres.pid
        if pid is None:
            return []
        with contextlib.suppress(psutil.Error):
            postmaster = psutil.Process(pid)
            return [postmaster] if kind == "postmaster" else [c for c in postmaster.children() if _serves(c)]
        return []

    def _stop(self, victims: list[psutil.Process], seconds: float) -> None:
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.send_signal(signal.SIGSTOP)
                timer = threading.Timer(seconds, self._resume, [victim.pid])
                timer.daemon = True
                self._stopped[victim.pid] = timer
                timer.start()

    def _resume(self, pid: int) -> None:
        self._stopped.pop(pid, None)
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).send_signal(signal.SIGCONT)


def _is(process: psutil.Process, title: str) -> bool:
    with contextlib.suppress(psutil.Error):
        if title.startswith("ray::"):
            return (process.cmdline() or [""])[0].startswith(title)
        return title in process.cmdline()[:3] if "." in title else process.name() == title
    return False


def _serves(process: psutil.Process) -> bool:
    """Whether a PostgreSQL process serves a client: its title names role, database and `[local]`."""
    with contextlib.suppress(psutil.Error):
        return "[local]" in " ".join(process.cmdline())
    return False
