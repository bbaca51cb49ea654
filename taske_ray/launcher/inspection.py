"""A look at a running instance from outside: what runs, what it costs, who can reach it. Changes nothing."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import psutil

from taske_ray.db.embedded import EmbeddedPostgres
from taske_ray.db.migrate import complaint
from taske_ray.launcher.data_dir import DataDir
from taske_ray.launcher.probe import Probe
from taske_ray.launcher.processes import Ledger
from taske_ray.settings import Settings


@dataclass(frozen=True, slots=True)
class Part:
    """One process of the instance: memory in MiB, shared pages counted by share; where others can reach it."""

    name: str
    pid: int
    memory_mib: float
    listens: tuple[str, ...]

    @property
    def open_to(self) -> tuple[str, ...]:
        """The addresses it listens on that are not this machine's own."""
        return tuple(each for each in self.listens if not each.startswith(("127.", "[::1]")))


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen."""

    data_dir: Path
    running: bool
    url: str | None
    healthy: bool
    ready: bool
    database: str
    parts: tuple[Part, ...]

    @property
    def memory_mib(self) -> float:
        """What everything together costs."""
        return sum(part.memory_mib for part in self.parts)


def look(settings: Settings) -> Look:
    """Look at the instance of that data directory."""
    place = DataDir(settings.data_dir)
    holder, database = place.holder(), _database(settings)
    if holder is None:
        return Look(place.path, running=False, url=None, healthy=False, ready=False, database=database, parts=())
    probe = Probe(*_address(holder.url, settings))
    problem = complaint(settings.database_url or EmbeddedPostgres(place.path).url)
    if problem is not None:
        database = f"{database}; not safe: {problem}"
    return Look(
        place.path,
        running=True,
        url=holder.url,
        healthy=probe.is_healthy(),
        ready=probe.is_ready() and problem is None,
        database=database,
        parts=tuple(sorted(_parts(place.path, holder.pid), key=lambda part: -part.memory_mib)),
    )


def _database(settings: Settings) -> str:
    """How the database is reached, and whether somebody on the way could read along."""
    if settings.database_url is None:
        return "embedded, by a Unix socket"
    parts = urlsplit(settings.database_url)
    options = dict(parse_qsl(parts.query))
    host = options.get("host") or parts.hostname or ""
    if not host or host.startswith("/"):
        return "by a Unix socket"
    mode = options.get("sslmode", "prefer")
    advice = "" if mode == "verify-full" else " (sslmode=verify-full would make sure who answers)"
    return f"{host}, sslmode={mode}{advice}"


def _address(url: str, settings: Settings) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    return (host.strip("[]"), int(port)) if port.isdecimal() else (settings.host, settings.port)


def _parts(data_dir: Path, launcher: int) -> list[Part]:
    found = {process.pid: process for process in Ledger(data_dir).living()}
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(launcher)
        found.update((process.pid, process) for process in [parent, *parent.children(recursive=True)])
    parts = []
    for process in found.values():
        with contextlib.suppress(psutil.Error, OSError):
            parts.append(Part(_name(process), process.pid, _memory_mib(process), _listens(process)))
    return parts


def _name(process: psutil.Process) -> str:
    words = process.cmdline() or [process.name()]
    if words[0].startswith(("ray::", "postgres:")):
        return " ".join(words).strip()
    own = {"taske_ray.launcher.runtime": "runtime", "up": "launcher"}
    return next((own[word] for word in words if word in own), process.name())


def _memory_mib(process: psutil.Process) -> float:
    for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _listens(process: psutil.Process) -> tuple[str, ...]:
    found = process.net_connections(kind="inet")
    return tuple(
        f"[{each.laddr.ip}]:{each.laddr.port}" if ":" in each.laddr.ip else f"{each.laddr.ip}:{each.laddr.port}"
        for each in found
        if each.status == psutil.CONN_LISTEN
    )
