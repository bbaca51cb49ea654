"""What an instance uses, seen from outside: memory and processor time, by what its processes are.

Cheap to ask, because it asks on the processors that it measures.
"""

import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from taske_ray.launcher.data_dir import DataDir
from taske_ray.launcher.processes import Ledger
from tests.bench.memory import files_mib, own_mib

FILES: Final = "program files, mapped by all"
_doing = re.compile(r"\.\w+$")
_own = {"taske_ray.launcher.runtime": "runtime", "up": "launcher", "taske_ray.launcher.agent": "agent"}


@dataclass(frozen=True, slots=True)
class Usage:
    """At one moment: seconds of processor time by process, memory in MiB by kind of process (see `memory.py`).

    `at_s` and `machine_s`: the moment, and the processor time that everything on the machine had used by then.
    """

    cpu_s: Mapping[tuple[str, int], float]
    memory_mib: Mapping[str, float]
    at_s: float
    machine_s: float

    @property
    def total_mib(self) -> float:
        """The memory of everything together."""
        return sum(self.memory_mib.values())

    def cpu_since(self, before: "Usage") -> dict[str, float]:
        """Seconds of processor time between the two, by kind of process, the most first."""
        spent: dict[str, float] = defaultdict(float)
        for (kind, pid), seconds in self.cpu_s.items():
            spent[kind] += seconds - before.cpu_s.get((kind, pid), 0.0)
        return _most_first(spent)


def usage(processes: Iterable[psutil.Process], *, memory: bool = False) -> Usage:
    """What these processes use; `memory` costs some ten milliseconds for each of them."""
    cpu: dict[tuple[str, int], float] = {}
    sizes: dict[str, float] = defaultdict(float)
    for process in processes:
        with contextlib.suppress(psutil.Error, OSError):
            kind = kind_of(process.cmdline() or [process.name()])
            times = process.cpu_times()
            cpu[kind, process.pid] = times.user + times.system
            if memory:
                sizes[kind] += own_mib(process.pid)
    if memory:
        sizes[FILES] = files_mib(pid for _, pid in cpu)
    return Usage(cpu, _most_first(sizes), time.monotonic(), _machine_s())


def instance(data_dir: Path) -> list[psutil.Process]:
    """All processes of the instance of that data directory; none where none runs."""
    holder = DataDir(data_dir).holder()
    if holder is None:
        return []
    launcher = psutil.Process(holder.pid)
    every = [launcher, *launcher.children(recursive=True), *Ledger(data_dir).living()]
    return list({process.pid: process for process in every}.values())


def kind_of(command: list[str]) -> str:
    """What a process is, by its command line, which may also tell what it does at the moment."""
    title = command[0].removeprefix("ray::")
    if title.startswith("postgres:") or title.endswith("/postgres"):
        return "PostgreSQL"
    if title.startswith("ServeReplica:"):
        return f"replica {title.split(':')[1]}"
    if title != command[0]:
        return _doing.sub("", title)
    own = [_own[word] for word in command if word in _own]
    return own[0] if own else title.rpartition("/")[2]


def _most_first(amounts: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(amounts.items(), key=lambda item: -item[1]))


def _machine_s() -> float:
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq
