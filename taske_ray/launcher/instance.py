"""One running instance, seen from its parent process: start everything, say when it is ready, watch, restart, stop.

    claim the data directory -> end leftovers -> nursery
      -> [runtime process: Ray]  beside  [PostgreSQL -> migrations -> catalog]
      -> "serve" -> supervisor and applications -> /readyz -> watch -> "stop" -> Ray gone -> PostgreSQL gone -> release

Nothing here loads Ray: what watches Ray must not hang or die with it.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Final

from taske_ray.errors import StartRefused, TaskeError
from taske_ray.hardening import harden
from taske_ray.launcher import environment, handover, ports, preparation, sessions
from taske_ray.launcher.child import NurseryChild, Report, RuntimeChild
from taske_ray.launcher.data_dir import DataDir
from taske_ray.launcher.kept_database import KeptDatabase
from taske_ray.launcher.probe import DOOR_MISSES, Probe, is_full
from taske_ray.launcher.processes import Ledger, end, kill, marked
from taske_ray.launcher.worker import NURSERY
from taske_ray.settings import Settings

READY_LIMIT_S: Final = 120.0
STOP_LIMIT_S: Final = 27.0
"""From the signal to the use of force, so that all is over within 30 s."""
SICK_LIMIT_S: Final = 45.0
"""So long `/healthz` may fail before everything is started afresh; Serve mends what it can in 5 to 15 s."""
SILENT_LIMIT_S: Final = 20.0
"""So long Ray may say nothing, whose processes live: its GCS hangs, or the process that asks it (`watchdog.py`)."""
BACK_OFF_S: Final = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
CALM_S: Final = 30.0
"""After so long a service the back-off begins anew: it is for starts that do not last."""
BEAT_S: Final = 0.25

Progress = Callable[[str], None]


class Trouble(TaskeError):
    """Something that must run has ended, or does not answer."""

    code = "trouble"


class _Stop(Exception):
    """Somebody asked us to stop."""


class Instance:
    """Everything that `taske up` starts. `progress` is told each step in words."""

    def __init__(
        self,
        settings: Settings,
        *,
        address: str | None = None,
        plan: str = "taske_ray.launcher.plan:SERVICE",
        progress: Progress = print,
    ) -> None:
        self.settings = settings.with_options(data_dir=settings.data_dir.absolute())
        self._address = address or "local"
        self._plan = plan
        self._progress = progress
        self._place = DataDir(settings.data_dir)
        self._ledger = Ledger(self._place.path)
        self._postgres = KeptDatabase(self._place.path, progress) if settings.embedded else None
        self._probe = Probe(settings.host, settings.port)
        self._runtime: RuntimeChild | None = None
        self._nursery: NurseryChild | None = None
        self._log = self._place.path / "runtime.log"
        self._environ: dict[str, str] = {}
        self._handed = self.settings
        self._watched: tuple[str, ...] = ()
        self._heard_at = 0.0
        self._stops = 0
        self._rolls = 0

    def run(self, on_ready: Callable[[], None]) -> None:
        """Start, call `on_ready` once `/readyz` answers 200, keep it all running until SIGINT or SIGTERM, stop.

        SIGUSR1 meanwhile starts the hosts anew, one after another.

        Raises InUse, StartRefused or Trouble if it cannot be started; everything is ended by then.
        """
        harden()
        with self._signals_counted(), contextlib.suppress(_Stop):
            self._place.claim(f"http://{self.settings.host}:{self.settings.port}")
            try:
                self._start()
                on_ready()
                self._keep_running()
            finally:
                self._stop()

    # Starting

    def _start(self) -> None:
        if self._ledger.living():
            self._progress("Ending what an earlier start left behind")
            end(self._ledger.living, within_s=3.0)
        sessions.clean(self._place.run_dir)
        self._refuse_taken_port()
        self._handed = handover.prepare(self.settings, self._place)
        self._spawn_runtime()
        url = self._start_database()
        self._progress("Bringing the database up to date")
        preparation.run(plan=self._plan, url=url, environ=self._environ, log=self._log, meanwhile=self._beat)
        self._serve()

    def _refuse_taken_port(self) -> None:
        if self._address == "local" and not ports.is_free(self.settings.host, self.settings.port):
            raise StartRefused(f"{self.settings.host}:{self.settings.port} is taken; choose another --port")

    def _start_database(self) -> str:
        if self._postgres is None:
            assert self.settings.database_url is not None
            return self.settings.database_url
        return self._postgres.start()

    def _spawn_runtime(self) -> None:
        self._progress("Starting Ray" if self._address == "local" else f"Joining the Ray cluster at {self._address}")
        run_dir = self._place.run_dir
        if self._address == "local":
            block = ports.block(self._place.path)
            self._environ = environment.local(self._handed, run_dir=run_dir, ports=block, inherited=os.environ)
            self._spawn_nursery()
        else:
            self._environ = environment.joined(self._handed, run_dir=run_dir, inherited=os.environ)
        self._runtime = RuntimeChild(
            plan=self._plan, address=self._address, run_dir=run_dir, environ=self._environ, log=self._log
        )
        self._ledger.note("runtime", self._runtime.pid)

    def _spawn_nursery(self) -> None:
        """The one that is there, unless it has ended or hangs."""
        if self._nursery is None or not self._nursery.is_well():
            self._end_nursery()
            self._nursery = NurseryChild(
                path=self._environ[NURSERY], plan=self._plan, environ=self._environ, log=self._log
            )
        self._ledger.note("nursery", self._nursery.pid)

    def _serve(self) -> None:
        """Let the runtime process go on, and wait until the service answers."""
        assert self._runtime is not None
        self._runtime.tell("serve")
        deadline = time.monotonic() + READY_LIMIT_S
        serving = False
        while not (serving and self._probe.is_ready()):
            serving = any(report.event == "serving" for report in self._beat()) or serving
            self._mend_database()  # it may be killed while Ray is starting again
            if time.monotonic() > deadline:
                raise Trouble(f"not ready after {READY_LIMIT_S:.0f} s: {self._probe.last_answer}")

    # Watching

    def _keep_running(self) -> None:
        troubles = 0
        trouble: Exception | None = None
        while True:
            served_since = float("inf")
            try:
                if trouble is not None:
                    self._end_runtime(within_s=0.0, nursery=troubles > 1)
                    self._start_again(BACK_OFF_S[min(troubles - 1, len(BACK_OFF_S) - 1)])
                served_since = time.monotonic()
                self._watch()
            except (Trouble, StartRefused, OSError) as found:  # the last where a disk is full
                trouble = found
                troubles = 1 if time.monotonic() - served_since > CALM_S else troubles + 1
                self._progress(f"{getattr(found, 'message', found)}; starting it again")

    def _watch(self) -> None:
        sick_since: float | None = None
        self._heard_at = time.monotonic()
        while True:
            self._beat()
            if time.monotonic() - self._heard_at > SILENT_LIMIT_S:
                raise Trouble(f"Ray has not answered for {SILENT_LIMIT_S:.0f} s")
            self._mend_database()
            if self._rolls:
                self._roll()
            if not self._probe.is_due():
                continue
            if self._nursery is not None:
                self._spawn_nursery()
            sick_since = None if self._is_well() else sick_since or time.monotonic()
            if sick_since is not None and time.monotonic() - sick_since > SICK_LIMIT_S:
                raise Trouble(f"/healthz has not answered for {SICK_LIMIT_S:.0f} s")

    def _is_well(self) -> bool:
        """Whether `/healthz` answers, as far as there is room at the door.

        A HAProxy that hangs is ended, and Serve starts another; one that is full serves whoever is inside.
        """
        misses = self._probe.door_misses() if self._address == "local" else 0
        if misses and is_full(self._place.run_dir):
            return True
        if misses >= DOOR_MISSES:
            self._progress("HAProxy hangs; ending it")
            kill(marked(self._place.path, program="haproxy"))
        return not misses and self._probe.is_healthy()

    def _roll(self) -> None:
        """Hosts in new processes, of a new nursery: it has loaded what is installed now."""
        assert self._runtime is not None
        self._rolls = 0
        self._progress("Starting the hosts anew, one after another")
        if self._nursery is not None:
            self._end_nursery()
            self._spawn_nursery()
        self._runtime.tell("roll")

    def _mend_database(self) -> None:
        if self._postgres is not None:
            self._postgres.mend()

    def _start_again(self, wait_s: float) -> None:
        """The runtime as a whole: a Ray without its GCS or raylet cannot be mended."""
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            self._beat()
        self._mend_database()
        self._spawn_runtime()
        self._serve()
        self._progress("Running again")

    def _beat(self) -> list[Report]:
        """One turn of any waiting: hear the runtime process, notice what has died, and stop if asked to."""
        if self._stops:
            raise _Stop
        if self._runtime is None:
            time.sleep(BEAT_S)
            return []
        reports = list(self._runtime.reports(BEAT_S))
        for report in reports:
            self._hear(report)
        if not self._runtime.is_running:
            raise Trouble("the runtime process has ended")
        for role in self._watched:
            if not self._ledger.is_alive(role):
                raise Trouble(f"Ray's {role} has ended")
        return reports

    def _hear(self, report: Report) -> None:
        if report.event == "ray":
            for role, pid in report.facts.items():
                self._ledger.note(role, int(pid))
            self._watched = tuple(report.facts)
        elif report.event == "alive":
            self._heard_at = time.monotonic()
        elif report.event == "cut_off":
            raise Trouble("Ray has given this machine up")
        elif report.event == "rolled":
            self._progress(f"Started anew: {', '.join(report.facts['hosts'])}")
        elif report.event == "not_rolled":
            self._progress(f"Not all hosts could be started anew: {report.facts['error']}")
        elif report.event == "starting":
            self._progress("Starting the supervisor and the applications")
        elif report.event == "failed":
            raise Trouble(f"the service could not be started: {report.facts['error']}")

    # Stopping

    def _stop(self) -> None:
        """Drain, then end everything, PostgreSQL last; a second signal shortens the waiting."""
        if self._runtime is not None and self._runtime.is_running:
            self._progress("Stopping: what is in flight may finish")
            self._runtime.tell("stop")
            deadline = time.monotonic() + STOP_LIMIT_S
            while self._runtime.is_running and time.monotonic() < deadline and self._stops < 2:  # noqa: PLR2004
                list(self._runtime.reports(BEAT_S))
        self._end_runtime(within_s=1.0, nursery=True)
        if self._postgres is not None:
            self._postgres.stop()
        sessions.close(self._place.run_dir)
        self._place.release()

    def _end_runtime(self, *, within_s: float, nursery: bool) -> None:
        """Ray and all that it started; a nursery that stays makes the next start twice as fast."""
        self._watched = ()
        if self._runtime is not None:
            self._runtime.close()
        if nursery:
            self._end_nursery()
        kept = None if self._nursery is None else self._nursery.pid
        end(lambda: [process for process in self._ledger.living() if process.pid != kept], within_s=within_s)
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None
        self._ledger.forget()

    def _end_nursery(self) -> None:
        if self._nursery is not None:
            self._nursery.end()
            self._nursery = None

    @contextlib.contextmanager
    def _signals_counted(self) -> Iterator[None]:
        def count(_number: int, _frame: object) -> None:
            self._stops += 1

        def count_roll(_number: int, _frame: object) -> None:
            self._rolls += 1

        wanted = {signal.SIGINT: count, signal.SIGTERM: count, signal.SIGUSR1: count_roll}
        before = {number: signal.signal(number, act) for number, act in wanted.items()}
        try:
            yield
        finally:
            for number, previous in before.items():
                signal.signal(number, previous)
