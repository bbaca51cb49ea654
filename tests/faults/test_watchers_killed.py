"""The watcher host is killed right before instants of its schedule: each is one run all the same, and soon (3.2)."""

import os
import signal
from datetime import timedelta

import psycopg
import pytest

from taske_ray.db.embedded import EmbeddedPostgres
from tests.facts import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400, func_only=True)]

KILLS = 30
EVERY_S = 5
BEFORE = timedelta(milliseconds=200)
LATE_S = 3.0  # a sweep, and two seconds
LATEST = """
SELECT max(extract(epoch FROM e.recorded_at - r.scheduled_at))::float FROM runs r JOIN events e ON e.run_id = r.id
"""
WATCHER = "SELECT pid FROM hosts WHERE kind = 'watcher' AND state = 'live' ORDER BY started_at DESC LIMIT 1"


@pytest.fixture
def ask(stand):
    """The first row that the service's database answers with."""
    with psycopg.connect(EmbeddedPostgres(stand.service.database_dir).url, autocommit=True) as connection:
        yield lambda statement: connection.execute(statement).fetchone()


def kill_before_next(ask):
    """Kill the watcher host right before the schedule's next instant."""
    (due,) = ask("SELECT next_fire_at FROM triggers WHERE next_fire_at IS NOT NULL")
    wait_until(lambda: ask("SELECT clock_timestamp()")[0] >= due - BEFORE, 2 * EVERY_S, "the moment", again_s=0.01)
    os.kill(*ask(WATCHER), signal.SIGKILL)


def test_each_instant_is_one_run_whenever_its_watcher_dies(stand, ask):
    """Thirty instants, each watched by a process that is killed 200 ms before it."""
    schedule = {"capability": "system.schedule.interval", "params": {"every": f"PT{EVERY_S}S"}}
    stand.task(schedule, "{{ trigger.output.scheduled_at }}")
    for number in range(KILLS):
        kill_before_next(ask)
        stand.until(lambda before=number: len(stand.runs()) > before, 30, "the run of the instant")
    stand.ask("POST", f"/api/v1/tasks/{stand.tasks[0]}/disable")
    stand.until(lambda: all(run.status == "succeeded" for run in stand.runs()), 60, "every run's end")
    verdict = stand.judged(schedule=stand.schedule(EVERY_S))
    assert verdict.holds, verdict.wrong
    assert ask(LATEST)[0] <= LATE_S
