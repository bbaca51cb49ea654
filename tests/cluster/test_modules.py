"""Integrations as data: a module that nobody coded for works in processes that were running before it existed."""

import time

import pytest

from taske_ray.catalog.registry import load_documents
from taske_ray.core.ids import parse_id
from taske_ray.standins.server import documents
from tests.cluster.documents import weather
from tests.cluster.engine import post
from tests.cluster.receiver import Answer
from tests.facts import until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(60, func_only=True)]


async def test_a_module_that_nobody_coded_for_runs_within_two_seconds(engine, receiver):
    """PUT, connect and run within 2 s; the credential is nowhere shown; the next run uses the next version."""
    base = f"http://{receiver.place}/weather"
    receiver.answer("/weather/today", Answer({"t": 21.5, "heard": "s3cr3t-key"}))
    began = time.monotonic()
    await engine.services.modules.put("weather", weather(base), by=engine.owner)
    connection = await engine.services.connections.create(
        owner=engine.owner, module="weather", auth="key", name="mine", fields={"key": "s3cr3t-key"}
    )
    today = {"capability": "weather.today", "connection": connection["id"], "params": {"city": "서울"}}
    shown = receiver.serve()
    task = await engine.task(today, post(shown, {"t": "{{ action1.output.degrees }}"}))
    run = await engine.ended(await engine.fire(task))
    assert time.monotonic() - began < 2.0
    assert run["status"] == "succeeded"
    asked = receiver.at("/weather/today")[-1]
    assert asked.headers["x-api-key"] == "s3cr3t-key"
    assert receiver.at(shown)[0].body == {"t": 21.5}
    assert "s3cr3t-key" not in repr(run)

    await engine.services.modules.put("weather", weather(base, unit="kelvin"), by=engine.owner)

    async def kelvin():
        assert (await engine.ended(await engine.fire(task)))["status"] == "succeeded"
        return "unit=kelvin" in receiver.at("/weather/today")[-1].path

    await until(kelvin, 4, "using the next version")


async def test_an_answer_that_is_no_json_fails_where_json_is_needed(engine, receiver):
    """A page of HTML with a 200 where Google would send JSON ends in a failed step, not in an empty list."""
    [google] = [
        found for found in documents(load_documents(), f"http://{receiver.place}") if found["module"] == "google"
    ]
    receiver.answer(
        "/google/drive/v3/files", Answer(raw=b"<html>maintenance</html>", headers={"content-type": "text/html"})
    )
    await engine.services.modules.put("google", google, by=engine.owner)
    connection = await engine.services.connections.create(
        owner=engine.owner, module="google", auth="access_token", name="mine", fields={"token": "ya29.s3cr3t"}
    )
    action = {"capability": "google.drive.list_files", "connection": connection["id"], "params": {"folder_id": "0A"}}
    run = await engine.run({**action, "retry": {"max_attempts": 1}})
    assert receiver.at("/google/drive/v3/files")
    assert (run["status"], run["steps"][0]["status"]) == ("failed", "failed")
    assert run["steps"][0]["error"]["class"] == "invalid"
    assert "ya29.s3cr3t" not in repr(run)


async def test_a_run_that_lacks_a_scope_begins_nothing(engine, receiver):
    """Its first step is not sent when its second could not be; with the scope it runs when it is replayed."""
    [google] = [
        found for found in documents(load_documents(), f"http://{receiver.place}") if found["module"] == "google"
    ]
    receiver.answer("/google/drive/v3/files", Answer({"files": []}))
    await engine.services.modules.put("google", google, by=engine.owner)
    connection = await engine.services.connections.create(
        owner=engine.owner, module="google", auth="access_token", name="mine", fields={"token": "ya29.s3cr3t"}
    )
    sent, change = receiver.serve(), "UPDATE connections SET scopes = %(scopes)s WHERE id = %(id)s RETURNING id"
    listed = {"capability": "google.drive.list_files", "connection": connection["id"], "params": {"folder_id": "0A"}}
    task, row = await engine.task(post(sent), listed), parse_id("conn", connection["id"])
    await engine.rows(change, id=row, scopes=[])
    run = await engine.ended(await engine.fire(task))
    assert (run["status"], run["error"]["class"], run["error"]["code"]) == ("failed", "permission", "missing_scopes")
    assert run["error"]["step"] == "action2"
    assert [step["status"] for step in run["steps"]] == ["pending", "pending"]
    assert receiver.at(sent) == []
    await engine.rows(change, id=row, scopes=["https://www.googleapis.com/auth/drive.metadata.readonly"])
    again = await engine.services.runs.replay(run["id"], owner=engine.owner, start="failed")
    assert (await engine.ended(again))["status"] == "succeeded"
    assert len(receiver.at(sent)) == 1
