"""Real answers against the published document: what is promised is what is sent."""

from datetime import UTC, datetime

import jsonschema_rs
import pytest

from deployments.console.app import document

pytestmark = pytest.mark.integration
API = document("http://taske.test")
TASK = {
    "name": "Weekly",
    "trigger": {"capability": "system.schedule.cron", "params": {"cron": "0 9 * * MON", "timezone": "Asia/Seoul"}},
    "actions": [
        {
            "capability": "http.request",
            "key": "call",
            "if": True,
            "retry": {"max_attempts": 2},
            "params": {"url": "https://example.com/"},
        }
    ],
}


def check(answer, method, path):
    """The answer's status is documented and its body is valid against the documented schema."""
    operation = API["paths"][path][method]
    documented = operation["responses"][str(answer.status_code)]
    content = documented.get("content")
    if not content:
        assert answer.content == b""
        return answer
    media = answer.headers["content-type"].partition(";")[0]
    schema = {**content[media]["schema"], "components": API["components"]}
    jsonschema_rs.validator_for(schema).validate(answer.json())
    return answer


async def test_answers_fit_their_schemas(mina, auth, person):
    """A walk through the API: every success and refusal on the way is as documented."""
    task = check(await mina.post("/tasks", json=TASK), "post", "/api/v1/tasks").json()
    one, place = "/api/v1/tasks/{task_id}", f"/tasks/{task['id']}"
    check(await mina.get("/tasks"), "get", "/api/v1/tasks")
    check(await mina.get(place), "get", one)
    check(await mina.put(place, json=TASK | {"name": "New"}), "put", one)
    check(await mina.put(place, json=TASK, headers={"if-match": '"1"'}), "put", one)
    check(await mina.put(place, json={"name": 1}), "put", one)
    check(await mina.post(f"{place}/plan", json={}), "post", one + "/plan")
    check(await mina.get(f"{place}/explain"), "get", one + "/explain")
    check(await mina.get(f"{place}/versions"), "get", one + "/versions")
    check(await mina.post(f"{place}/disable"), "post", one + "/disable")
    run_id = check(await mina.post(f"{place}/run"), "post", one + "/run").json()["run_id"]
    check(await mina.get("/runs"), "get", "/api/v1/runs")
    check(await mina.get(f"/runs/{run_id}"), "get", "/api/v1/runs/{run_id}")
    check(await mina.post(f"/runs/{run_id}/cancel"), "post", "/api/v1/runs/{run_id}/cancel")
    check(await mina.post(f"/runs/{run_id}/replay", json={}), "post", "/api/v1/runs/{run_id}/replay")
    check(await mina.get("/runs/run_x"), "get", "/api/v1/runs/{run_id}")
    check(await mina.get("/modules"), "get", "/api/v1/modules")
    check(await mina.get("/modules/slack"), "get", "/api/v1/modules/{module}")
    check(await mina.get("/capabilities"), "get", "/api/v1/capabilities")
    check(await mina.get("/capabilities/http.request"), "get", "/api/v1/capabilities/{capability}")
    body = {"module": "slack", "auth": "bot_token", "name": "x", "fields": {"token": "x" * 30}}
    connection = check(await mina.post("/connections", json=body), "post", "/api/v1/connections").json()
    check(await mina.get("/connections"), "get", "/api/v1/connections")
    there = "/api/v1/connections/{connection_id}"
    check(await mina.delete(f"/connections/{connection['id']}"), "delete", there)
    check(await mina.delete(f"/connections/{connection['id']}"), "delete", there)
    check(await mina.delete(place), "delete", one)
    headers = person["headers"]
    check(await auth.get("/me", headers=headers), "get", "/auth/me")
    check(await auth.patch("/me", json={"name": "Mina"}, headers=headers), "patch", "/auth/me")
    check(await auth.post("/api-keys", json={"name": "x"}, headers=headers), "post", "/auth/api-keys")
    check(await auth.get("/api-keys", headers=headers), "get", "/auth/api-keys")
    check(await auth.get("/jwks.json"), "get", "/auth/jwks.json")
    check(await auth.post("/login", json={"email": "a@b.c", "password": "x"}), "post", "/auth/login")
    check(await auth.post("/refresh", json={"refresh_token": person["refresh_token"]}), "post", "/auth/refresh")


async def test_a_run_with_history_fits_its_schema(mina, database):
    """A run with steps, attempts and errors in every state is as documented."""
    task = (await mina.post("/tasks", json=TASK | {"actions": TASK["actions"] * 1})).json()
    run_id = (await mina.post(f"/tasks/{task['id']}/run")).json()["run_id"]
    run = {"id": run_id.removeprefix("run_"), "now": datetime.now(UTC)}
    await database.fetch(
        "INSERT INTO steps (run_id, step, key, capability, status, input, output, error)"
        " VALUES (%(id)s::uuid, 1, 'call', 'http.request', 'failed', '{\"url\": \"x\"}', NULL,"
        ' \'{"class": "transient", "code": "http_error", "message": "503"}\')',
        run,
    )
    await database.fetch(
        "INSERT INTO attempts (run_id, step, number, fence, status, http_status, finished_at, error)"
        " VALUES (%(id)s::uuid, 1, 1, 1, 'failed', 503, %(now)s,"
        ' \'{"class": "transient", "code": "http_error", "message": "503"}\')',
        run,
    )
    found = check(await mina.get(f"/runs/{run_id}"), "get", "/api/v1/runs/{run_id}").json()
    assert found["steps"][0]["attempts"][0]["error"]["class"] == "transient"
    assert datetime.fromisoformat(found["steps"][0]["attempts"][0]["started_at"]).tzinfo
