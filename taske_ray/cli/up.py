"""`taske up`, `taske status`, `taske restart`: start everything in the foreground; look at what runs; new processes."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from taske_ray.cli.output import Column, Format, Output, say, say_document, show_list, working
from taske_ray.errors import TaskeError
from taske_ray.settings import Settings

FAILED = 1
USAGE = 2


def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port to listen on.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the database, the keys and the logs live.")] = None,
    address: Annotated[
        str | None, typer.Option(help="Join this Ray cluster instead of starting one; needs TASKE_DATABASE_URL.")
    ] = None,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Show a first task with stand-ins for its providers.")] = False,
) -> None:
    """Start everything in the foreground; Ctrl-C lets what is in flight finish, and ends it."""
    try:
        settings = Settings.from_env().with_options(host=host, port=port, data_dir=data_dir)
    except TaskeError as refused:
        typer.echo(refused.message, err=True)
        raise typer.Exit(USAGE) from None
    if address is not None and settings.embedded:
        typer.echo("--address needs TASKE_DATABASE_URL: a cluster's nodes cannot reach an embedded database", err=True)
        raise typer.Exit(USAGE)
    if not demo:
        raise typer.Exit(run_instance(settings, address=address))
    from taske_ray.cli.demo import playing

    with playing(settings) as (opened, shown):
        raise typer.Exit(run_instance(opened, address=address, on_ready=shown.begin))


def status(
    data_dir: Annotated[Path | None, typer.Option(help="The instance's data directory.")] = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what runs, what it costs and who can reach it; 0 if the service is ready, else 1."""
    from taske_ray.launcher.inspection import look

    with working("Looking"):
        seen = look(Settings.from_env().with_options(data_dir=data_dir))
    if output is not Format.TABLE:
        parts = [{**asdict(part), "open_to": list(part.open_to)} for part in seen.parts]
        say_document({**asdict(seen), "data_dir": str(seen.data_dir), "parts": parts}, output)
    elif not seen.running:
        say(f"Nothing runs in {seen.data_dir}.")
    else:
        state = "ready" if seen.ready else "alive, not ready" if seen.healthy else "not answering"
        say(f"{seen.url}: {state}; {seen.data_dir}; {seen.memory_mib:.0f} MiB in {len(seen.parts)} processes")
        say(f"Database: {seen.database}")
        show_list(seen.parts, _PART_COLUMNS, output)
    if not seen.ready:
        raise typer.Exit(FAILED)


def restart(
    data_dir: Annotated[Path | None, typer.Option(help="The instance's data directory.")] = None,
) -> None:
    """Start the hosts of a running instance anew, one after another; no run fails, and none waits for long."""
    from taske_ray.launcher.data_dir import DataDir

    place = DataDir(Settings.from_env().with_options(data_dir=data_dir).data_dir)
    holder = place.holder()
    if holder is None:
        say(f"Nothing runs in {place.path}.")
        raise typer.Exit(FAILED)
    os.kill(holder.pid, signal.SIGUSR1)
    say("It begins; `taske up` says when it is done.")


_PART_COLUMNS: list[Column] = [
    ("PROCESS", lambda part: part.name),
    ("PID", lambda part: part.pid),
    ("MIB", lambda part: f"{part.memory_mib:.0f}"),
    ("LISTENS", lambda part: " ".join(part.listens)),
    ("OPEN BEYOND THIS MACHINE", lambda part: " ".join(part.open_to)),
]


def run_instance(
    settings: Settings,
    *,
    address: str | None = None,
    plan: str = "taske_ray.launcher.plan:SERVICE",
    on_ready: Callable[[Settings], None] | None = None,
) -> int:
    """Run one instance until it is told to stop; the exit code. `on_ready` may show more once the address answers."""
    from taske_ray.launcher.data_dir import InUse
    from taske_ray.launcher.instance import Instance

    steps = _Steps(Console())

    def ready() -> None:
        steps.done()
        print(f"Taske is ready at http://{settings.host}:{settings.port}", flush=True)  # noqa: T201 - the contract's line
        if on_ready is not None:
            on_ready(settings)

    try:
        Instance(settings, address=address, plan=plan, progress=steps.begin).run(ready)
    except InUse as in_use:
        steps.failed(in_use.message)
        return USAGE
    except TaskeError as refused:
        steps.failed(refused.message)
        return FAILED
    steps.done()
    return 0


class _Steps:
    """One line per step: with a terminal the running one moves, without one each is printed as it begins."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._text = ""
        self._began = 0.0

    def begin(self, text: str) -> None:
        """The step before is over, this one runs."""
        self.done()
        self._text, self._began = text, time.monotonic()
        if self._console.is_terminal:
            self._status = self._console.status(f"{text} …")
            self._status.start()
        else:
            with contextlib.suppress(OSError):  # no room for a log: the service is worth more than its story
                print(text, flush=True)  # noqa: T201 - the console would wrap it

    def done(self) -> None:
        """Nothing runs: leave a line with the time that the last step took."""
        if self._status is not None:
            self._status.stop()
            self._status = None
            self._console.print(f"[green]✓[/] {self._text} [dim]{time.monotonic() - self._began:.1f} s[/]")

    def failed(self, message: str) -> None:
        """It cannot be done: say why where errors go."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        print(message, file=sys.stderr, flush=True)  # noqa: T201 - the console would wrap it
