"""`taske up --demo`, stopped and started again beside another instance: what is kept, and that nothing is left."""

import os
import signal
from http import HTTPStatus

import httpx
import pytest

from taske_ray import Taske
from tests.cluster.engine import MANUAL, post
from tests.cluster.launcher_service import nothing_is_left
from tests.cluster.receiver import Answer
from tests.e2e.conftest import Api
from tests.e2e.instance import instance
from tests.facts import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240, func_only=True)]


def test_a_life_of_an_instance(receiver, service):
    """The demo's first run shows; SIGTERM says so at `/readyz`, drains a call and leaves nothing; all tasks come back.

    `service` stands beside it all the time and is not disturbed.
    """
    with instance(TASKE_EGRESS_ALLOW=receiver.place) as found:
        found.start("--demo")
        assert "Weekly planning documents" in found.until_said("Look around", 60)
        assert "신제품 기획서" in found.output.read_text()
        key = found.account("min@example.com", admin=True)
        gate = receiver.gate()
        slow, after = receiver.serve(Answer(gate=gate)), receiver.serve()
        with Api(found, key) as api:
            task = api.task(MANUAL, post(slow), post(after), name="survives")
            run_id = api.ask("POST", f"/tasks/{task['id']}/run", status=202)["run_id"]
            demo = api.ask("GET", "/modules/google")
        wait_until(lambda: receiver.at(slow), 20, "the call")

        found.process.send_signal(signal.SIGTERM)
        found.until_said("Stopping", 5)
        wait_until(lambda: httpx.get(f"{found.url}/readyz").status_code == HTTPStatus.SERVICE_UNAVAILABLE, 5, "a 503")
        gate.open()
        assert found.process.wait(35) == 0
        nothing_is_left(found)
        assert service.answers()

        found.start()
        with Taske(found.url, key) as taske:
            assert [each.name for each in taske.tasks.list()] == ["survives"]
            run = taske.runs.wait(run_id, timeout_s=60)
        assert run.status == "succeeded"
        assert [attempt.status for attempt in run.steps[0].attempts] == ["succeeded"]
        assert (len(receiver.at(slow)), len(receiver.at(after))) == (1, 1)
        with Api(found, key) as api:
            assert api.ask("GET", "/modules/google") != demo  # the catalog's own addresses are back
        os.kill(found.process.pid, signal.SIGINT)
        assert found.process.wait(35) == 0
        nothing_is_left(found)
        assert service.answers()
