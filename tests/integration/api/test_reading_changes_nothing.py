"""GET changes nothing (security, 1.7): every row of every table is the same before and after all of them."""

import pytest

from deployments.console.app import document

pytestmark = pytest.mark.integration
URL = "http://taske.test"
BEGINS_A_VISIT = "/auth/login/{provider}"
"""Going to a provider is remembered for ten minutes; it changes nothing that anybody has."""
TASK = {
    "name": "Read",
    "trigger": {"capability": "system.webhook"},
    "actions": [{"capability": "http.request", "params": {"url": "https://example.com/"}}],
}


async def everything(database):
    """A digest of each table."""
    tables = await database.fetch(
        "SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace"
        " AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
    )
    found = {}
    for row in tables:
        text = f'SELECT md5(string_agg(t::text, chr(10) ORDER BY t::text)) AS digest FROM "{row["name"]}" t'
        found[row["name"]] = (await database.fetch(text))[0]["digest"]
    return found


async def test_no_get_changes_a_row(auth, api, hooks, console, admin, database):
    """Each GET and HEAD of the document, with ids of things that are there, by somebody who may see everything."""
    headers = admin["headers"]
    task = (await api.post("/tasks", json=TASK, headers=headers)).json()
    run_id = (await api.post(f"/tasks/{task['id']}/run", headers=headers)).json()["run_id"]
    body = {"module": "slack", "auth": "bot_token", "name": "x", "fields": {"token": "x" * 30}}
    connection = (await api.post("/connections", json=body, headers=headers)).json()
    values = {"task_id": task["id"], "run_id": run_id, "connection_id": connection["id"], "module": "slack"}
    values |= {"capability": "http.request", "name": "docs.js", "provider": "google", "auth": "bot_token"}
    places = (("/auth", auth), ("/api/v1", api), ("/hooks", hooks), ("", console))
    before, seen = await everything(database), 0
    for path, operations in document(URL)["paths"].items():
        if "get" not in operations or path == BEGINS_A_VISIT or path.endswith("/events"):
            continue
        place = path
        for parameter in operations["get"].get("parameters", ()):
            if parameter["in"] == "path":
                place = place.replace(f"{{{parameter['name']}}}", values.get(parameter["name"], "x"))
        client = next(client for prefix, client in places if path.startswith(prefix))
        for method in ("GET", "HEAD"):
            answer = await client.request(method, f"{URL}{place}", headers=headers)
            assert answer.status_code < 500, (method, place, answer.text)
            seen += answer.status_code == 200
    after = await everything(database)
    assert seen > 30
    assert {name for name in after if after[name] != before[name]} == set()
