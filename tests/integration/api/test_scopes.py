"""What API keys may do, on every route: scopes, one task, and nothing that manages the account (security, 7.1)."""

from uuid import uuid4

import pytest

from deployments.console.app import document

pytestmark = pytest.mark.integration
ACTION = {"capability": "http.request", "params": {"url": "https://example.com/"}}
BY_HAND = {"name": "By hand", "trigger": {"capability": "system.manual"}, "actions": [ACTION]}

OPERATIONS = [
    (method, path, operation["x-permission"], "x-one-task" in operation)
    for path, operations in document("http://taske.test")["paths"].items()
    for method, operation in operations.items()
    if path.startswith(("/auth", "/api/v1")) and operation["x-permission"] != "public"
]
READS = {"read", "operator"}
assert len(OPERATIONS) > 40


@pytest.fixture
async def ask(auth, api):
    """Call it with method, path and key: the status and code of the answer."""

    async def call(method, path, key):
        client, prefix = (auth, "/auth") if path.startswith("/auth") else (api, "/api/v1")
        answer = await client.request(
            method, path.removeprefix(prefix), headers={"authorization": f"Bearer {key}"}, follow_redirects=False
        )
        problem = answer.headers["content-type"] == "application/problem+json" if answer.content else False
        return answer.status_code, answer.json()["code"] if problem else None

    return call


@pytest.fixture
async def key(auth, admin):
    """Call it for an API key of an administrator, so that only the key's own bounds can refuse."""

    async def make(**body):
        made = await auth.post("/api-keys", json={"name": "k", **body}, headers=admin["headers"])
        assert made.status_code == 201, made.json()
        return made.json()["key"]

    return make


async def test_a_scope_that_a_key_lacks_is_refused_everywhere(ask, key):
    """Every operation that is not reading is closed to a read-only key, every other one to a write-only key."""
    reading, writing = await key(scopes=["read"]), await key(scopes=["write"])
    for method, path, permission, _ in OPERATIONS:
        refused, other = (writing, reading) if permission in READS else (reading, writing)
        status, code = await ask(method, path, refused)
        if permission == "operator":  # figures and catalogs of everybody: the role decides
            continue
        assert status == 403, (method, path)
        wanted = {"session": "session_required", "recent": "session_required", "admin": "admin_required"}
        assert code == wanted.get(permission, "scope_required"), (method, path)
        if permission in ("session", "recent"):
            assert await ask(method, path, other) == (403, "session_required"), (method, path)


async def test_a_key_for_one_task_opens_nothing_that_is_not_about_a_task(ask, key, api, admin):
    """Whatever is not marked as open to such keys is refused before anything is looked at."""
    task = (await api.post("/tasks", json=BY_HAND, headers=admin["headers"])).json()
    bound = await key(task_id=task["id"])
    for method, path, _, one_task in OPERATIONS:
        status, code = await ask(method, path, bound)
        assert one_task == (code != "scope_required"), (method, path, status, code)


async def test_a_key_for_one_task_sees_no_other(api, auth, person, hosts):  # noqa: ARG001 - no host is up
    """Lists, reads, runs, replays and filters: what is not of its task looks missing, byte for byte."""
    owner = person["headers"]
    mine, other = [(await api.post("/tasks", json=BY_HAND, headers=owner)).json()["id"] for _ in range(2)]
    runs = {}
    for task in (mine, other):
        for _ in range(2):
            fired = await api.post(f"/tasks/{task}/run", json={}, headers=owner)
            runs.setdefault(task, []).append(fired.json()["run_id"])
    made = await auth.post("/api-keys", json={"name": "one", "task_id": mine}, headers=owner)
    assert made.json()["task_id"] == mine
    bound = {"authorization": f"Bearer {made.json()['key']}"}

    listed = (await api.get("/tasks", headers=bound)).json()["items"]
    assert [task["id"] for task in listed] == [mine]
    found = (await api.get("/runs", headers=bound)).json()["items"]
    assert {run["id"] for run in found} == set(runs[mine])
    assert (await api.get("/runs", params={"task_id": other}, headers=bound)).json()["items"] == []
    assert (await api.get(f"/runs/{runs[mine][0]}", headers=bound)).status_code == 200
    assert (await api.post(f"/tasks/{mine}/run", json={}, headers=bound)).status_code == 202
    assert (await api.post(f"/runs/{runs[mine][0]}/replay", json={}, headers=bound)).status_code == 202

    missing_task, missing_run = "task_" + "0" * 32, "run_" + "0" * 32
    for method, place, foreign, missing in (
        ("GET", "/tasks/{}", other, missing_task),
        ("POST", "/tasks/{}/run", other, missing_task),
        ("POST", "/tasks/{}/enable", other, missing_task),
        ("GET", "/tasks/{}/versions", other, missing_task),
        ("GET", "/tasks/{}/explain", other, missing_task),
        ("POST", "/tasks/{}/plan", other, missing_task),
        ("GET", "/runs/{}", runs[other][0], missing_run),
        ("POST", "/runs/{}/cancel", runs[other][0], missing_run),
        ("POST", "/runs/{}/replay", runs[other][0], missing_run),
    ):
        body = {} if method == "POST" else None
        answers = [await api.request(method, place.format(one), json=body, headers=bound) for one in (foreign, missing)]
        shown = [{**answer.json(), "request_id": "", "instance": ""} for answer in answers]
        assert answers[0].status_code == 404, (method, place)
        assert shown[0] == shown[1], (method, place)
    assert (await api.put(f"/tasks/{mine}", json=BY_HAND, headers=bound)).status_code == 403
    assert (await api.get("/tasks", headers=owner)).json()["items"][1]["id"]  # nobody else is confined


async def test_a_key_is_bound_to_a_task_of_its_owner_only(auth, api, person, admin):
    """A foreign task, a missing one and nonsense are refused alike, with a pointer."""
    foreign = (await api.post("/tasks", json=BY_HAND, headers=admin["headers"])).json()["id"]
    answers = [
        await auth.post("/api-keys", json={"name": "x", "task_id": one}, headers=person["headers"])
        for one in (foreign, f"task_{uuid4().hex}", "nonsense")
    ]
    assert [answer.status_code for answer in answers] == [422] * 3
    assert [answer.json()["errors"] for answer in answers] == [answers[0].json()["errors"]] * 3
    assert answers[0].json()["errors"][0]["pointer"] == "/task_id"


async def test_a_key_ends_with_its_task(auth, api, person):
    """When the task is deleted its keys are nobody's."""
    task = (await api.post("/tasks", json=BY_HAND, headers=person["headers"])).json()["id"]
    made = await auth.post("/api-keys", json={"name": "x", "task_id": task}, headers=person["headers"])
    bound = {"authorization": f"Bearer {made.json()['key']}"}
    assert (await auth.get("/me", headers=bound)).status_code == 200
    assert (await api.delete(f"/tasks/{task}", headers=person["headers"])).status_code == 204
    assert (await auth.get("/me", headers=bound)).status_code == 401
