"""Clocks that jump an hour under a whole service: the database's, which decides, and the processes', which do not.

Either reads a file at each look to see how far off it is. The database's is libfaketime's (Debian: `apt install
libfaketime`); that of the processes is Python's, replaced from outside (`sabotage/`).
"""

import contextlib
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from taske_ray.db import embedded
from taske_ray.db.embedded import EmbeddedPostgres
from taske_ray.security.vault import new_master_key
from tests.bench.service import temporary
from tests.bench.stand import Stub
from tests.facts import wait_until
from tests.faults.load import under_load
from tests.faults.stand import Stand

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400, func_only=True)]

SABOTAGE = Path(__file__).parent / "sabotage"
HOUR_S = 3600
EVERY_S = 1
SCHEDULE = {"capability": "system.schedule.interval", "params": {"every": f"PT{EVERY_S}S"}}
GOES_ON = 5
PAST = 15
UNDER_WAY = 10  # steps at the moment of a jump
PROCESSES = 5  # hosts, clients and replicas look at their clock


class Clock:
    """A clock for whoever looks at its file; it begins right and `jump` sets it off."""

    def __init__(self, file):
        self.file = file
        self._offset_s = 0
        self.jump(0)

    def jump(self, seconds):
        """So many seconds on, or back; whole at any look."""
        self._offset_s += seconds
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{self._offset_s:+d}\n")
        fresh.rename(self.file)


@pytest.fixture
def clock():
    """A clock in a directory that the database's own user can read."""
    with tempfile.TemporaryDirectory(prefix="taske-t-") as directory:
        Path(directory).chmod(0o711)
        yield Clock(Path(directory) / "clock")


@pytest.fixture
def faked(clock):
    """The environment of a program that has that clock."""
    found = sorted(Path("/usr/lib").glob("**/faketime/libfaketime.so.1"))
    if not found:
        pytest.skip("the clock of a database cannot be set here: apt install libfaketime")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(clock.file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


@pytest.fixture
def of_the_database(faked, receiver):
    """A service whose database has that clock."""
    with tempfile.TemporaryDirectory(prefix="taske-d-") as directory, pytest.MonkeyPatch.context() as patch:
        Path(directory).chmod(0o711)
        patch.setattr(embedded, "_environment", lambda: {"PATH": "/usr/bin:/bin", "LC_ALL": "C"} | faked)
        database = EmbeddedPostgres(Path(directory) / "data")
        with contextlib.ExitStack() as opened:
            database.start()
            opened.callback(database.stop)
            settings = {"TASKE_DATABASE_URL": database.url, "TASKE_MASTER_KEY": new_master_key()}
            service = opened.enter_context(temporary(Stub(0, receiver.port), **settings))
            service.database_dir = database.data_dir
            yield from started(service, receiver)


@pytest.fixture
def of_the_processes(clock, receiver):
    """A service with that clock in all its processes but the database's."""
    settings = {"SABOTAGE": "wall_clock", "SABOTAGE_CLOCK": str(clock.file), "PYTHONPATH": str(SABOTAGE)}
    with temporary(Stub(0, receiver.port), **settings) as service:
        yield from started(service, receiver)


def started(service, receiver):
    """A stand for deliveries and one for a schedule, of a service that runs."""
    service.start()
    service.create_account()
    with Stand(service, receiver) as hooks, Stand(service, receiver) as timed:
        timed.task(SCHEDULE, "{{ trigger.output.scheduled_at }}")
        yield hooks, timed


def goes_on(timed):
    """Return when the schedule has fired a few times more."""
    before = len(timed.runs())
    timed.until(lambda: len(timed.runs()) >= before + GOES_ON, 60, "more of the schedule's runs")


def accounts_hold(timed):
    """Each instant is a run that was made once, or is counted by a skip; every run has succeeded."""
    timed.ask("POST", f"/api/v1/tasks/{timed.tasks[0]}/disable")
    timed.until(lambda: all(run.status == "succeeded" for run in timed.runs()), 60, "every scheduled run's end")
    verdict = timed.judged(schedule=timed.schedule(EVERY_S))
    assert verdict.holds, verdict.wrong
    assert verdict.unexplained == 0


def attempts(*stands):
    """How many attempts there were, by their state."""
    return Counter(
        one.status for stand in stands for run in stand.runs() for tries in run.attempts.values() for one in tries
    )


def test_the_databases_clock_jumps(of_the_database, clock, tmp_path):
    """An hour on, an hour back, an hour on again: no instant fires twice, none is missing from the skips.

    Deliveries go on whatever the clock says. All leases end when it jumps on: what was under way then is taken over.
    """
    hooks, timed = of_the_database

    def stands_still():
        """Whether nothing is fired while deliveries come; watchers see the clock with each heartbeat."""
        fired, delivered = len(timed.runs()), len(hooks.runs())
        wait_until(lambda: len(hooks.runs()) > delivered + PAST, 30, "deliveries in the past")
        return len(timed.runs()) == fired

    def jumps():
        goes_on(timed)
        clock.jump(HOUR_S)
        timed.until(lambda: timed.schedule(EVERY_S).skipped > HOUR_S / 2, 60, "skips of the hour")
        goes_on(timed)
        clock.jump(-HOUR_S)
        wait_until(stands_still, 60, "a schedule that waits for its next instant")
        clock.jump(HOUR_S)
        goes_on(timed)

    under_load(hooks, tmp_path, jumps)
    accounts_hold(timed)
    assert attempts(hooks, timed)["unknown"] <= UNDER_WAY


def test_the_processes_clocks_jump(of_the_processes, clock, tmp_path):
    """An hour on and back again: nothing is missed, repeated or refused, for the database's clock decides."""
    hooks, timed = of_the_processes

    def jumps():
        goes_on(timed)
        clock.jump(HOUR_S)
        goes_on(timed)
        clock.jump(-HOUR_S)
        goes_on(timed)

    sender = under_load(hooks, tmp_path, jumps)
    assert set(sender.answers) == {202}, sender.answers
    accounts_hold(timed)
    assert timed.schedule(EVERY_S).skipped == 0
    assert set(attempts(hooks, timed)) == {"succeeded"}
    assert len(list(clock.file.parent.glob("clock.[0-9]*"))) >= PROCESSES
