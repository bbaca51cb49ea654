"""The launcher's end of its children: the nursery, and the runtime process, which is told what to do and reports."""

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from taske_ray.launcher import nursery

NURSERY_LIMIT_S: Final = 2.0
NURSERY_MISSES: Final = 2
NURSERY_LOADS: Final = 30
"""So many it may miss before it has answered for the first time: it is loading, on a busy machine for long."""
_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class Report:
    """One line from the runtime process: what happened, and facts about it."""

    event: str
    facts: Mapping[str, Any] = field(default_factory=dict)


class RuntimeChild:
    """A running runtime process. Its own session, so that a Ctrl-C at the terminal reaches the launcher alone."""

    def __init__(self, *, plan: str, address: str, run_dir: Path, environ: Mapping[str, str], log: Path) -> None:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        arguments = [plan, address, str(run_dir), str(writing)]
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, no input of anyone
                [sys.executable, "-m", "taske_ray.launcher.runtime", *arguments],
                env=dict(environ),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=(writing,),
                umask=0o077,  # Ray opens what it writes to everybody
                start_new_session=True,
                preexec_fn=_end_with_launcher,  # noqa: PLW1509 - one system call, prepared before the fork
            )
        os.close(writing)
        self._reports = reading
        self._rest = b""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def tell(self, command: str) -> None:
        """Send one command; a process that has just ended does not mind."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{command}\n".encode())
            self._process.stdin.flush()

    def reports(self, within_s: float) -> Iterator[Report]:
        """What it has reported, waiting up to `within_s` for the first."""
        if not select.select([self._reports], [], [], within_s)[0]:
            return
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._reports, 65536):
                self._rest += chunk
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            facts = json.loads(line)
            yield Report(facts.pop("event"), facts)

    def close(self) -> None:
        """Let go of the pipes (which also tells a living process to end) and collect the ended one."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(OSError):
            os.close(self._reports)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=1.0)


class NurseryChild:
    """A running nursery, which makes the workers of Ray; it ends with the launcher."""

    def __init__(self, *, path: str, plan: str, environ: Mapping[str, str], log: Path) -> None:
        self._path = path
        self._misses, self._patience = 0, NURSERY_LOADS
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, no input of anyone
                [sys.executable, "-m", "taske_ray.launcher.nursery", path, plan],
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                umask=0o077,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def is_well(self) -> bool:
        """Whether it runs and does not hang: a frozen one would cost each worker `worker.ANSWER_LIMIT_S`."""
        if nursery.order(self._path, limit_s=NURSERY_LIMIT_S):
            self._misses, self._patience = 0, NURSERY_MISSES
        else:
            self._misses += 1
        return self._process.poll() is None and self._misses < self._patience

    def end(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


def _end_with_launcher() -> None:
    """In the child, before it becomes Python again: be told when the launcher dies, however it dies."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
