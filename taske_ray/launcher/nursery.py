"""Loads once what all Ray workers need, and makes each of them by a fork: memory is shared, and nothing loaded twice.

A worker started the ordinary way loads 100 MB in two seconds of work; eleven of them are most of an idle instance. Ray
itself is loaded after the fork: it reads its environment once and for all. The nursery starts no thread and opens
nothing, so that a fork copies a quiet process. Without it `worker.py` starts workers the ordinary way. It outlives a
Ray that has to be started again, which is then back in half the time.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from taske_ray.launcher.plan import Plan, load

ORDER_LIMIT_S: Final = 5.0
"""So long an order may take to arrive: one that stops half-way must not hold up the others."""
_PR_SET_PDEATHSIG: Final = 1
_LONGEST: Final = 65_536
_USED_BY_RAY: Final = (
    "aiohttp",
    "click",
    "fastapi",
    "google.protobuf.descriptor",
    "grpc.aio",
    "jinja2",
    "jsonschema",
    "numpy",
    "opentelemetry.exporter.prometheus",
    "opentelemetry.sdk.metrics",
    "psutil",
    "requests",
    "uvicorn",
    "uvloop",
    "yaml",
)
"""What Ray and Serve load themselves; one that a later version no longer brings is left out."""


def main(path: str, plan_name: str) -> None:
    """Listen at `path`, load, and give birth to a worker for each order."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        Path(path).unlink(missing_ok=True)  # of one that was killed
        listener.bind(path)
        Path(path).chmod(0o600)
        listener.listen(64)  # orders wait here while we load
        plan: Plan = load(plan_name)
        _load(plan.shared)
        gc.collect()
        gc.freeze()  # a collection in a worker must not touch, and so copy, what is shared
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # ended workers need nobody to collect them
        while True:
            _attend(listener)


def _load(modules: Sequence[str]) -> None:
    for name in _USED_BY_RAY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in modules:
        importlib.import_module(name)
    if "ray" in sys.modules or len(list(Path("/proc/self/task").iterdir())) > 1:
        raise SystemExit("what is shared has loaded Ray or started a thread: a fork would not be safe")


def order(
    path: str,
    arguments: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    streams: Sequence[int] = (),
    limit_s: float,
) -> bool:
    """Ask the nursery at `path` for a process; whether it takes the order. Without arguments: whether it answers.

    The first of `arguments` is a file or a module; `streams` become its standard input and output.
    """
    text = json.dumps([arguments, dict(environ or {}), str(Path.cwd())]) if arguments else ""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as nursery:
            nursery.settimeout(limit_s)
            nursery.connect(path)
            socket.send_fds(nursery, [f"{text}\n".encode()], list(streams))
            return nursery.recv(8).startswith(b"born")
    except OSError:
        return False


def _attend(listener: socket.socket) -> None:
    """One order. Its sender hears from us before the fork: one that has given up must not get a worker as well."""
    connection, _ = listener.accept()
    streams: list[int] = []
    with connection, contextlib.suppress(OSError):
        connection.settimeout(ORDER_LIMIT_S)
        text = _received(connection, streams)
        connection.sendall(b"born\n")
        if text != b"\n" and os.fork() == 0:
            listener.close()
            connection.close()
            arguments, environ, folder = json.loads(text)
            _become(arguments, environ, folder, streams)
    for stream in streams:
        os.close(stream)


def _received(connection: socket.socket, streams: list[int]) -> bytes:
    text = b""
    while not text.endswith(b"\n"):
        part, received, _, _ = socket.recv_fds(connection, _LONGEST, 2)
        streams += received
        if not part:
            raise ConnectionResetError
        text += part
    return text


def _become(arguments: list[str], environ: dict[str, str], folder: str, streams: list[int]) -> None:
    """In the fork: what an exec would have set, then the worker's program. Does not return."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.setpgid(0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    sys.argv = arguments
    code = 1
    try:
        _run(arguments[0])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - nothing above us may go on in a worker
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(program: str) -> None:
    if program.endswith(".py"):
        sys.path[0] = str(Path(program).parent)
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
