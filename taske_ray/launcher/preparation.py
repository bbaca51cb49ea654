"""Bring the database up to date in a process of its own: what that loads need not stay in the launcher's memory."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from taske_ray import logs
from taske_ray.errors import StartRefused, TaskeError
from taske_ray.launcher.plan import Plan, load
from taske_ray.settings import Settings


def run(*, plan: str, url: str, environ: Mapping[str, str], log: Path, meanwhile: Callable[[], object]) -> None:
    """Migrate and prepare; calls `meanwhile` again and again until done. Raises StartRefused with the reason."""
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        child = subprocess.Popen(  # noqa: S603 - our own module, no input of anyone
            [sys.executable, "-m", "taske_ray.launcher.preparation", plan],
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(url.encode())  # not in the arguments, which everybody can read
            child.stdin.close()
        while child.poll() is None:
            meanwhile()
        if child.returncode:
            raise StartRefused(
                child.stdout.read().decode().strip() or f"the database could not be prepared (see {log})"
            )
    finally:
        child.kill()
        child.wait()


def main(plan_name: str) -> None:
    """In the process of its own: the url comes on standard input, a refusal's reason goes to standard output."""
    logs.configure()
    plan: Plan = load(plan_name)
    try:
        load(plan.upgrade)(sys.stdin.read())
        load(plan.prepare)(Settings.from_env())
    except TaskeError as refused:
        print(refused.message)  # noqa: T201 - that is how it is passed on
        raise SystemExit(1) from None


if __name__ == "__main__":
    main(sys.argv[1])
