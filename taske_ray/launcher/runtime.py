"""The one process of an instance that loads Ray: starts or joins it, brings Serve and the supervisor up, and ends them.

It is told what to do by lines on its standard input (`serve`, then `stop`; in between `roll`, as often as wanted) and
reports by JSON lines on the pipe whose number it is given. End of input means that the launcher is gone: then
everything ends at once.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from taske_ray import logs
from taske_ray.launcher import lean_ray, nursery
from taske_ray.launcher.deployment import DEPLOYED
from taske_ray.launcher.plan import Plan, load
from taske_ray.launcher.worker import ANSWER_LIMIT_S, NURSERY

OBJECT_STORE_BYTES: Final = 80 * 2**20
"""Ray's minimum is 75 MiB; nothing of ours is an object."""

LOGICAL_CPUS: Final = 16
"""Enough for everything that asks for a hundredth; the machine's own scheduler decides about the real ones."""

STOP_ACTORS_S: Final = 22.0
STOP_SERVE_S: Final = 4.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What the launcher wants of this process, as it stands in the arguments."""

    plan: str
    address: str
    run_dir: str
    report: int


def run(wish: Wish) -> None:
    """Start, serve until told to stop, stop. A failure is reported and ends the process with 1."""
    report = _reporter(wish.report)
    deployment = Deployment(wish.plan)
    try:
        _connect(wish)  # in the main thread: Ray's processes die with the thread that started them
        report("ray", **_ray_processes(wish))
        asyncio.run(_serve(wish, report, deployment))
    except Exception as error:
        report("failed", error=f"{type(error).__name__}: {error}")
        raise
    finally:
        _disconnect()


class Deployment:
    """The process that hands the applications to Serve (`deployment.py`); it loads what it needs while Ray starts.

    Made by the nursery, which has loaded the applications already, or the ordinary way without one.
    """

    def __init__(self, plan: str) -> None:
        self._plan = plan
        self._born = ThreadPoolExecutor(1).submit(self._start)  # the nursery may be loading: Ray need not wait for that

    def deploy(self, address: str) -> None:
        """Tell it where Ray is; return when the applications run. Raises RuntimeError."""
        question, answer = self._born.result()
        with question, answer:
            with contextlib.suppress(BrokenPipeError):
                question.write(address)
                question.close()
            if answer.read().splitlines()[-1:] != [DEPLOYED]:
                raise RuntimeError("the applications could not be deployed (see runtime.log)")

    def _start(self) -> tuple[IO[str], IO[str]]:
        program = ["taske_ray.launcher.deployment", self._plan]
        (stdin, question), (answer, stdout) = os.pipe(), os.pipe()
        path = os.environ.get(NURSERY)
        if not (path and nursery.order(path, program, os.environ, streams=(stdin, stdout), limit_s=ANSWER_LIMIT_S)):
            subprocess.Popen([sys.executable, "-m", *program], stdin=stdin, stdout=stdout)  # noqa: S603 - our own module
        os.close(stdin)
        os.close(stdout)
        return os.fdopen(question, "w"), os.fdopen(answer)


async def _serve(wish: Wish, report: Callable[..., None], deployment: Deployment) -> None:
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    commands = await _commands()
    if not await _heard(commands, "serve"):
        return
    report("starting")
    await asyncio.gather(_start_supervisor(wish), _deploy(deployment))
    report("serving")
    from taske_ray.launcher import watchdog  # loads Ray, which begins after the helpers

    watching = asyncio.create_task(watchdog.keep(report, here=wish.address == "local"))
    stopping = await _stop_heard(commands, report)
    watching.cancel()
    if stopping:
        report("draining")
        await _drain(wish)


def _connect(wish: Wish) -> None:
    from actors import cluster

    if wish.address != "local":
        cluster.connect(wish.address)
        return
    with lean_ray.lean():
        cluster.connect(
            "local",
            num_cpus=LOGICAL_CPUS,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(Path(wish.run_dir) / "r"),
        )


def _ray_processes(wish: Wish) -> dict[str, int]:
    """The processes of our own Ray that nothing restarts: the launcher watches them from outside."""
    if wish.address != "local":
        return {}
    import psutil

    named = {"gcs_server": "gcs", "raylet": "raylet"}
    children = psutil.Process().children(recursive=True)
    return {named[child.name()]: child.pid for child in children if child.name() in named}


async def _start_supervisor(wish: Wish) -> None:
    from actors import cluster

    plan: Plan = load(wish.plan)
    await cluster.spawn_supervisor(plan.supervisor)


async def _deploy(deployment: Deployment) -> None:
    """Tell the waiting process, which has loaded the applications meanwhile, where Ray is and where replicas listen."""
    import ray

    from actors import cluster

    alone = len(await cluster.nodes()) == 1
    # The address that people connect to is given to HAProxy by its stand-in. In a cluster the other nodes' HAProxy must
    # reach the replicas: there a private network is the wall (docs/operations.md).
    host = "127.0.0.1" if alone else "0.0.0.0"  # noqa: S104
    await asyncio.to_thread(deployment.deploy, f"{ray.get_runtime_context().gcs_address} {host}\n")


async def _stop_heard(commands: asyncio.StreamReader, report: Callable[..., None]) -> bool:
    """Whether `stop` came; until then hosts are started anew as often as told."""
    rolling = set()
    while (line := (await commands.readline()).decode().strip()) == "roll":
        rolling.add(asyncio.create_task(_roll(report)))
    for task in rolling:
        task.cancel()
    return line == "stop"


async def _roll(report: Callable[..., None]) -> None:
    from actors import cluster

    try:
        supervisor = await cluster.find(cluster.SUPERVISOR)
        rolled = [] if supervisor is None else await cluster.call(supervisor, "roll")
    except Exception as error:  # noqa: BLE001 - told to whoever asked; the service goes on
        report("not_rolled", error=f"{type(error).__name__}: {error}")
    else:
        report("rolled", hosts=rolled)


async def _drain(wish: Wish) -> None:
    """The supervisor first, which knows the work in flight; the HTTP face; in a cluster that stays, all actors."""
    from ray import serve

    from actors import cluster

    supervisor = await cluster.find(cluster.SUPERVISOR)
    if supervisor is not None:
        with contextlib.suppress(cluster.ActorLost, TimeoutError):  # its work is leased: the next start takes it over
            await cluster.call(supervisor, "stop", timeout_s=STOP_ACTORS_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_SERVE_S):
            await asyncio.to_thread(serve.shutdown)
    if wish.address != "local":
        await cluster.kill_all()


def _disconnect() -> None:
    import ray

    ray.shutdown()


async def _commands() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def _heard(commands: asyncio.StreamReader, command: str) -> bool:
    """Whether the command came; False means that the launcher is gone or wants the end instead."""
    line = (await commands.readline()).decode().strip()
    return line == command


def _reporter(number: int) -> Callable[..., None]:
    pipe: IO[str] = os.fdopen(number, "w", buffering=1)

    def report(event: str, **facts: Any) -> None:
        with contextlib.suppress(BrokenPipeError):
            pipe.write(json.dumps({"event": event, **facts}) + "\n")

    return report


if __name__ == "__main__":
    logs.configure()
    run(Wish(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
