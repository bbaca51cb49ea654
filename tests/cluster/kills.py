"""Killing parts of the engine, as a machine out of memory does: at once and without a word."""

import os
import signal

import psutil

from actors import cluster


async def kill_host(engine, kind, name=None):
    """`kill -9` one live host of a kind; the row of the incarnation that died."""
    host = next(host for host in await engine.hosts(kind) if name in (None, host["name"]))
    end(host["pid"])
    return host


async def kill_supervisor():
    """`kill -9` the supervisor's process."""
    supervisor = await cluster.find(cluster.SUPERVISOR)
    end(await supervisor.ping.remote())


def end(pid):
    """Kill it, and return when it is gone."""
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([process], timeout=5)
