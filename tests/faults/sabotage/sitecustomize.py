"""Changes the product from outside, in every process that starts with this on its path: false promises, a false clock.

Python imports a `sitecustomize` by itself. `SABOTAGE` names what to break; the product has no switch for it. Only names
that tests use are known here (in `test_negative_controls.py`, `test_woken_processes.py`, `test_clock_jumps.py`), and
each break is a few lines.
"""

import importlib.abc
import importlib.util
import os
import sys


def _acknowledge_first(module):
    """The 202 is sent before the COMMIT: the run is recorded afterwards, if the process lives."""
    import asyncio

    original = module.Firing.record

    async def record(self, fire, **_):
        asyncio.get_running_loop().call_later(
            1.0, lambda: self.__dict__.setdefault("_late", set()).add(asyncio.ensure_future(original(self, fire)))
        )
        return module.Fired(fire.run_id, "created")

    module.Firing.record = record


def _no_intent(module):
    """Calls are made without an attempt on record."""

    async def intent(self, call):
        self._client = await self._integrations.choose(self._run.user_id, None, self._call_id(call))
        return ()

    module.WorkflowRun._intent = intent


def _new_keys(module):
    """Each attempt goes out under a key of its own."""
    from uuid import uuid4

    module.WorkflowRun._key = lambda self, action: f"{self._wire_id}:{action.key}:{uuid4().hex}"


def _cursor_first(module):
    """A poll's cursor and ledger are committed before the runs of its items."""
    from taske_ray.crash_points import reach

    async def fire_poll(self, fire):
        cursor = {
            "id": fire.trigger_id,
            "read": fire.cursor_version,
            "cursor": module.orjson.dumps(fire.cursor).decode(),
        }
        async with self._database.hot_transaction() as connection:
            await connection.execute(module.queries.move_cursor, cursor)
            new = await module._new_items(connection, fire)
        fires = [one for key, version, one in fire.candidates if (key, version) in new]
        if fires:
            reach("between")
        async with self._database.hot_transaction() as connection:
            fired = await module._fire_inside(connection, fires)
        return module.PollFired(tuple(answer for _, answer in fired.values()))

    module.FireStore.fire_poll = fire_poll


def _end_nobody(module):
    """A frozen process is not ended, so that it wakes up again: leases and fences are alone then."""
    module.Pulse._end = lambda *_: None


def _wall_clock(module):
    """The process's wall clock is off by as many seconds as a file says now; it leaves a mark that it has looked."""
    import time
    from datetime import timedelta
    from pathlib import Path

    true_time, true_now = time.time, module.SystemClock.now
    file = Path(os.environ["SABOTAGE_CLOCK"])

    def off():
        seconds = float(file.read_text())
        if seconds:
            file.with_suffix(f".{os.getpid()}").touch()
        return seconds

    time.time = lambda: true_time() + off()
    module.SystemClock.now = lambda self: true_now(self) + timedelta(seconds=off())


_breaks = {
    "wall_clock": ("taske_ray.clock", _wall_clock),
    "end_nobody": ("actors.pulse", _end_nobody),
    "cursor_first": ("taske_ray.db.fires", _cursor_first),
    "acknowledge_first": ("taske_ray.services.firing", _acknowledge_first),
    "no_intent": ("actors.workflow_run", _no_intent),
    "new_keys": ("actors.workflow_run", _new_keys),
}


class _Finder(importlib.abc.MetaPathFinder):
    """Breaks a module right after it was loaded."""

    def __init__(self, name, change):
        self._name = name
        self._change = change

    def find_spec(self, fullname, _path, _target=None):
        """Only the module to break, found by everybody else and changed behind them."""
        if fullname != self._name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            self._change(module)

        spec.loader.exec_module = exec_module
        return spec


if os.environ.get("SABOTAGE"):
    sys.meta_path.insert(0, _Finder(*_breaks[os.environ["SABOTAGE"]]))
