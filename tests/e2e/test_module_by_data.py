"""A module added through the admin API alone does all that a service can ask of it, on a whole running service."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from tests.cluster.engine import MANUAL
from tests.e2e.parcels import CLIENT, SECRET, document
from tests.facts import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180, func_only=True)]
LATER = {"capability": "system.delay", "params": {"for": "PT0.1S"}}


@pytest.fixture(scope="module")
def connection(admin, user, parcels):
    """The module, put by an admin, and a user's connection to the service."""
    admin.ask("PUT", "/admin/modules/parcels", document(f"http://127.0.0.1:{parcels.port}"))
    fields = {"client_id": CLIENT, "client_secret": SECRET}
    body = {"module": "parcels", "auth": "app", "name": "mine", "fields": fields}
    return user.ask("POST", "/connections", body, status=201)["id"]


def explained(user, task):
    return user.ask("GET", f"/tasks/{task['id']}/explain")


def checks(user, task):
    return explained(user, task)["checks"]


def runs_of(user, task):
    return user.ask("GET", f"/runs?task_id={task['id']}")["items"]


def test_fifty_runs_share_one_token(user, parcels, connection):
    """Fifty runs at once get one token; when the service ends it under fifty more, exactly one follows; none fails."""
    task = user.task(MANUAL, {"capability": "parcels.make", "connection": connection, "params": {"to": "미나"}})

    def fifty():
        with ThreadPoolExecutor(10) as threads:
            ids = list(
                threads.map(lambda _: user.ask("POST", f"/tasks/{task['id']}/run", status=202)["run_id"], range(50))
            )
        return [user.ended(run_id)["status"] for run_id in ids]

    assert fifty() == ["succeeded"] * 50
    assert parcels.tokens == 1
    parcels.end_token()
    assert fifty() == ["succeeded"] * 50
    assert parcels.tokens == 2
    keys = [key for key, _ in parcels.made]
    assert len(keys) == len(set(keys)) == 100


def test_a_limit_is_waited_for(user, parcels, connection):
    """A 429 is obeyed and on record, costs no attempt, and the run succeeds."""
    parcels.busy_next = 1
    task = user.task(
        MANUAL,
        {
            "capability": "parcels.make",
            "connection": connection,
            "params": {"to": "준"},
            "retry": {"max_attempts": 1},
        },
    )
    began = time.monotonic()
    run = user.fire(task)
    assert (run["status"], parcels.busy_next) == ("succeeded", 0)
    assert time.monotonic() - began >= 1.0
    assert [attempt["http_status"] for attempt in run["steps"][0]["attempts"]] == [429, 201]


def test_new_items_of_all_pages_become_one_run_each(user, parcels, connection):
    """The first check only looks; five items on three pages later become five runs, however often they are seen."""
    parcels.parcels = [{"number": 0, "at": "2020-01-01T00:00:00Z"}]
    trigger = {"capability": "parcels.new", "connection": connection, "params": {"every": "PT1S"}}
    task = user.task(trigger, LATER)
    wait_until(lambda: checks(user, task), 60, "the first check")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    parcels.parcels += [{"number": number, "at": now} for number in range(1, 6)]
    wait_until(lambda: len(runs_of(user, task)) >= 5, 60, "five runs")
    seen = len(checks(user, task))
    wait_until(lambda: len(checks(user, task)) > seen, 60, "another check")
    runs = runs_of(user, task)
    assert sorted(user.ask("GET", f"/runs/{run['id']}")["trigger_output"]["number"] for run in runs) == [1, 2, 3, 4, 5]
    user.ask("POST", f"/tasks/{task['id']}/disable")


def test_signed_webhooks_arrive(user, parcels, connection):
    """Enabling registers, a signed delivery is a run and its repetition none, a forged one 401, deleting ends it."""
    trigger = {"capability": "parcels.shipped", "connection": connection, "params": {}}
    task = user.task(trigger, LATER)
    wait_until(lambda: (explained(user, task)["subscription"] or {}).get("status") == "active", 60, "being registered")
    assert parcels.ship(7) == parcels.ship(7) == [202]
    runs = runs_of(user, task)
    assert [user.ask("GET", f"/runs/{run['id']}")["trigger_output"] for run in runs] == [{"parcel": 7}]
    [hook] = parcels.hooks.values()
    parcels.hooks = {"1": hook | {"secret": "another"}}
    assert parcels.ship(8) == [401]
    user.ask("DELETE", f"/tasks/{task['id']}", status=204)
    wait_until(lambda: not parcels.hooks, 60, "being forgotten")
