"""Catalog and connections over HTTP: read by everyone in their language, written by admins, secrets never shown."""

import asyncio

import pytest

from taske_ray.core.ids import parse_id
from taske_ray.core.outcome import ErrorClass, Failed, Succeeded
from taske_ray.db.connection_tokens import mark_needs_reauth
from taske_ray.services.catalog_cache import CapabilityCache

pytestmark = pytest.mark.integration

ACME = {
    "module": "acme",
    "name": {"en": "Acme", "ko": "아크메"},
    "base_url": "https://api.acme.example",
    "auth": [{"id": "token", "type": "bearer", "test": {"path": "/me"}}],
    "capabilities": [
        {
            "capability": "acme.thing.create",
            "kind": "action",
            "name": {"en": "Create a thing", "ko": "물건 만들기"},
            "params": {
                "type": "object",
                "required": ["title"],
                "additionalProperties": False,
                "properties": {"title": {"type": "string"}},
            },
            "request": {"method": "POST", "path": "/things", "body": {"title": "{{ params.title }}"}},
            "response": {"output": {"id": "{{ response.body.id }}"}},
        }
    ],
}
TOKEN = {"module": "slack", "auth": "bot_token", "name": "Team", "fields": {"token": "xoxb-0123456789-abcdefghij"}}


async def test_the_catalog_speaks_three_languages(mina):
    """Names follow Accept-Language; lists filter by kind, module and words."""
    modules = (await mina.get("/modules", headers={"accept-language": "ko-KR, en;q=0.5"})).json()["items"]
    assert {one["module"]: one["name"] for one in modules}["system"] == "시스템"
    capability = (await mina.get("/capabilities/slack.chat.post_message", headers={"accept-language": "ja"})).json()
    assert capability["connection_required"] is True
    assert "text" in capability["params"]["properties"]
    listed = (await mina.get("/capabilities", params={"kind": "trigger", "module": "system"})).json()["items"]
    assert {one["capability"] for one in listed} >= {"system.schedule.cron", "system.webhook", "system.manual"}
    found = (await mina.get("/capabilities", params={"q": "크론"})).json()["items"]
    assert [one["capability"] for one in found] == ["system.schedule.cron"]
    assert (await mina.get("/capabilities", params={"q": "슬랙"})).json()["items"]
    output = (await mina.get("/capabilities/http.request", headers={"accept-language": "ko"})).json()["output"]
    assert output["properties"]["status"]["title"] == "상태"
    assert (await mina.get("/capabilities", params={"kind": "colour"})).status_code == 422
    assert (await mina.get("/modules/nothing")).status_code == 404


async def test_catalog_lists_are_paged(mina):
    """Walking the pages gives every capability once."""
    seen, cursor = [], None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await mina.get("/capabilities", params=query)).json()
        seen += [one["capability"] for one in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    every = (await mina.get("/capabilities", params={"limit": 1000})).json()["items"]
    assert seen == [one["capability"] for one in every]


async def test_an_admin_adds_a_module_that_nobody_coded_for(api, admin, person, calls, database):
    """PUT by an admin is usable at once by a task and by other processes; others may not; DELETE retires it."""
    assert (await api.put("/admin/modules/acme", json=ACME, headers=person["headers"])).status_code == 403
    first = await api.put("/admin/modules/acme", json=ACME, headers=admin["headers"])
    assert first.status_code == 200, first.json()
    made = {"module": "acme", "version": 1, "changed": True, "capabilities": {"acme.thing.create": 1}}
    assert first.json() == made | {"changes": [], "breaking": False, "affected_tasks": []}
    again = await api.put("/admin/modules/acme", json=ACME, headers=admin["headers"])
    assert again.json() | {"changed": True} == first.json()
    assert again.json()["changed"] is False
    assert (await CapabilityCache(database).latest("acme.thing.create")).kind == "action"
    made = await api.post(
        "/connections",
        json={"module": "acme", "auth": "token", "name": "Acme", "fields": {"token": "t" * 20}},
        headers=person["headers"],
    )
    task = {
        "name": "Make things",
        "trigger": {"capability": "system.manual"},
        "actions": [
            {"capability": "acme.thing.create", "connection": made.json()["id"], "params": {"title": "{{ now }}"}}
        ],
    }
    saved = await api.post("/tasks", json=task, headers=person["headers"])
    assert saved.status_code == 201, saved.json()
    plan = (await api.post(f"/tasks/{saved.json()['id']}/plan", headers=person["headers"])).json()["requests"]
    assert plan[0]["url"] == "https://api.acme.example/things"
    assert "t" * 20 not in str(plan)
    calls.outcomes = [Succeeded({"id": 7})]
    invoked = await api.post(
        "/capabilities/acme.thing.create/invoke",
        json={"connection": made.json()["id"], "params": {"title": "x"}},
        headers=person["headers"],
    )
    assert (invoked.status_code, invoked.json()) == (200, {"id": 7})
    assert (await api.delete("/admin/modules/acme", headers=admin["headers"])).status_code == 204
    refused = await api.post("/tasks", json=task, headers=person["headers"])
    assert refused.json()["errors"][0]["code"] == "unknown_capability"
    assert (await CapabilityCache(database).pinned("acme.thing.create", 1)).id == "acme.thing.create"


def renamed(document, module, **params):
    """The Acme module under another name, its action with other parameters."""
    action = document["capabilities"][0]
    properties = action["params"]["properties"] | params.pop("properties", {})
    action = action | {"params": action["params"] | params | {"properties": properties}}
    return document | {"module": module, "capabilities": [action | {"capability": f"{module}.thing.create"}]}


async def test_a_change_names_the_tasks_that_it_would_break(api, admin, person):
    """A dry run changes nothing; tasks follow what is compatible, and those that a change would break are named."""
    headers = admin["headers"]
    await api.put("/admin/modules/life", json=renamed(ACME, "life"), headers=headers)
    made = await api.post(
        "/connections",
        json={"module": "life", "auth": "token", "name": "Life", "fields": {"token": "t" * 20}},
        headers=person["headers"],
    )
    action = {"capability": "life.thing.create", "connection": made.json()["id"], "params": {"title": "x"}}
    task = {"name": "Follows", "trigger": {"capability": "system.manual"}, "actions": [action]}
    follows = (await api.post("/tasks", json=task, headers=person["headers"])).json()["id"]
    named = task | {"name": "Stays", "actions": [action | {"capability": "life.thing.create@1"}]}
    assert (await api.post("/tasks", json=named, headers=person["headers"])).status_code == 201
    wider = renamed(ACME, "life", properties={"colour": {"type": "string"}})
    compatible = (await api.put("/admin/modules/life", json=wider, headers=headers)).json()
    assert (compatible["version"], compatible["breaking"], compatible["affected_tasks"]) == (2, False, [])
    assert compatible["changes"] == [
        {"pointer": "/capabilities/0/params/properties/colour", "kind": "added", "breaking": False}
    ]
    broken = renamed(wider, "life", required=["title", "colour"])
    left = [{"id": follows, "capability": "life.thing.create", "version": 1}]
    told = (await api.put("/admin/modules/life", json=broken, params={"dry_run": "true"}, headers=headers)).json()
    assert (told["version"], told["breaking"], told["affected_tasks"]) == (3, True, left)
    assert (await api.get("/modules/life", headers=headers)).json()["version"] == 2
    saved = (await api.put("/admin/modules/life", json=broken, headers=headers)).json()
    assert (saved["version"], saved["affected_tasks"]) == (3, left)
    again = renamed(broken, "life", required=["title", "colour", "shape"], properties={"shape": {"type": "string"}})
    assert (await api.put("/admin/modules/life", json=again, headers=headers)).json()["affected_tasks"] == []


async def test_open_questions_need_a_draft(api, admin):
    """A document with `x-todo` is refused unless it is called a draft, and then it may have no trigger."""
    todo = [{"pointer": "/errors", "question": "Which answers are a rate limit?"}]
    document = renamed(ACME, "drafty") | {"x-todo": todo}
    refused = await api.put("/admin/modules/drafty", json=document, headers=admin["headers"])
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "open_todo")
    taken = await api.put("/admin/modules/drafty?draft=true", json=document, headers=admin["headers"])
    assert taken.status_code == 200
    poll = {
        "capability": "drafty.new",
        "kind": "trigger",
        "name": "New",
        "request": {"path": "/things"},
        "response": {"items": "{{ response.body }}"},
        "poll": {"key": "{{ item.id }}"},
    }
    document["capabilities"].append(poll)
    refused = await api.put("/admin/modules/drafty?draft=true", json=document, headers=admin["headers"])
    assert refused.json()["errors"] == [
        {
            "pointer": "/capabilities/1/kind",
            "code": "draft_trigger",
            "message": "A document with open questions offers no trigger",
        }
    ]


async def test_bad_documents_and_versions_are_refused(api, admin):
    """A broken document is a 422 with pointers, another id than the path's too, a wrong version 409."""
    headers = admin["headers"]
    broken = await api.put("/admin/modules/acme2", json={"module": "acme2", "colour": 1}, headers=headers)
    assert broken.status_code == 422
    assert {"/colour", "/name", "/capabilities"} <= {one["pointer"] for one in broken.json()["errors"]}
    other = await api.put("/admin/modules/other", json=ACME, headers=headers)
    assert other.json()["errors"][0]["pointer"] == "/module"
    document = ACME | {"module": "acme3", "capabilities": [ACME["capabilities"][0] | {"capability": "acme3.x"}]}
    stale = await api.put("/admin/modules/acme3", json=document | {"version": 5}, headers=headers)
    assert (stale.status_code, stale.json()["code"]) == (409, "version_conflict")


async def test_connections_are_write_only(mina, database):
    """The secret is in no answer and not in the row; only its last characters are shown."""
    made = await mina.post("/connections", json=TOKEN)
    assert made.status_code == 201, made.json()
    connection = made.json()
    assert connection["id"].startswith("conn_")
    assert connection["fields"] == {"token": "••••ghij"}
    place = f"/connections/{connection['id']}"
    answers = [await mina.get(place), await mina.get("/connections"), await mina.patch(place, json={"name": "New"})]
    assert all("xoxb-0123456789" not in answer.text for answer in answers)
    assert answers[2].json()["name"] == "New"
    rows = await database.fetch("SELECT * FROM connections")
    assert all("xoxb-0123456789" not in str(row) for row in rows)
    assert all(b"xoxb-0123456789" not in bytes(row["sealed"]) for row in rows)


async def test_bad_fields_of_a_connection_have_pointers(mina):
    """Unknown modules, schemes and fields are told apart by their pointers."""
    cases = [
        (TOKEN | {"module": "nothing"}, "/module"),
        (TOKEN | {"auth": "nothing"}, "/auth"),
        (TOKEN | {"auth": "oauth"}, "/auth"),
        (TOKEN | {"fields": {}}, "/fields/token"),
        (TOKEN | {"fields": {"token": "x", "colour": 1}}, "/fields/colour"),
        (TOKEN | {"name": ""}, "/name"),
    ]
    for body, pointer in cases:
        answer = await mina.post("/connections", json=body)
        assert answer.status_code == 422
        assert pointer in {one["pointer"] for one in answer.json()["errors"]}, answer.json()


async def test_every_credential_has_a_number_of_its_own(mina, database):
    """Credentials that are given at the same moment: what is said of one is never taken for another's."""
    connection = (await mina.post("/connections", json=TOKEN)).json()["id"]
    given = [{"fields": {"token": f"xoxb-{number:010}"}} for number in range(5)]
    changed = await asyncio.gather(*(mina.patch(f"/connections/{connection}", json=body) for body in given))
    assert {answer.status_code for answer in changed} == {200}
    rows = await database.fetch(
        "SELECT version FROM connections WHERE id = %(id)s", {"id": parse_id("conn", connection)}
    )
    assert rows == [{"version": 6}]


async def test_where_a_credential_goes_needs_the_secret_again(mina):
    """Changing the hosts of an http connection without its token is refused; with it, it is taken."""
    body = {
        "module": "http",
        "auth": "bearer",
        "name": "API",
        "fields": {"token": "secret-secret-secret", "hosts": ["api.example.com"]},
    }
    made = (await mina.post("/connections", json=body)).json()
    place = f"/connections/{made['id']}"
    anywhere = await mina.post("/connections", json={**body, "fields": {**body["fields"], "hosts": ["*"]}})
    assert anywhere.json()["errors"][0]["pointer"] == "/fields/hosts/0"
    stolen = await mina.patch(place, json={"fields": {"hosts": ["evil.example"]}})
    assert stolen.status_code == 422
    moved = await mina.patch(place, json={"fields": {"hosts": ["b.example.com"], "token": "secret-secret-secret"}})
    assert moved.json()["fields"]["hosts"] == ["b.example.com"]


async def test_testing_a_connection(mina, calls):
    """The label of a good answer is kept; a bad one is told with its class and changes nothing."""
    made = (await mina.post("/connections", json=TOKEN)).json()
    place = f"/connections/{made['id']}"
    calls.outcomes = [Succeeded({"label": "Team Taske"}), Failed(ErrorClass.AUTH_REVOKED, "invalid_auth", "No.")]
    assert (await mina.post(f"{place}/test")).json() == {"ok": True, "label": "Team Taske", "error": None}
    refused = (await mina.post(f"{place}/test")).json()
    assert (refused["ok"], refused["error"]["class"]) == (False, "auth_revoked")
    assert (await mina.get(place)).json()["label"] == "Team Taske"


async def test_a_foreign_connection_is_unknown(mina, auth, auth_services):
    """Nobody can use, read, test or delete another's connection, and a task with it is refused like a made-up one."""
    made = (await mina.post("/connections", json=TOKEN)).json()
    await auth_services.accounts.create_user("thief@example.com", "seven green bottles")
    login = {"email": "thief@example.com", "password": "seven green bottles"}
    headers = {"authorization": f"Bearer {(await auth.post('/login', json=login)).json()['access_token']}"}
    seen = []
    for connection in (made["id"], "conn_" + "0" * 32):
        place = f"/connections/{connection}"
        statuses = [
            (await mina.request(method, path, json=body, headers=headers)).status_code
            for method, path, body in [
                ("GET", place, None),
                ("PATCH", place, {"name": "x"}),
                ("POST", f"{place}/test", None),
                ("DELETE", place, None),
            ]
        ]
        task = {
            "name": "x",
            "trigger": {"capability": "system.manual"},
            "actions": [
                {
                    "capability": "slack.chat.post_message",
                    "connection": connection,
                    "params": {"channel": "C1", "text": "x"},
                }
            ],
        }
        refused = (await mina.post("/tasks", json=task, headers=headers)).json()["errors"]
        invoke = {"connection": connection, "params": {"channel": "C1", "text": "x"}}
        path = "/capabilities/slack.chat.post_message/invoke"
        invoked = (await mina.post(path, json=invoke, headers=headers)).json()["errors"]
        seen.append((statuses, refused, invoked))
    assert seen[0] == seen[1]
    assert seen[0][0] == [404] * 4
    assert seen[0][1][0]["code"] == "unknown_connection"


async def test_a_new_credential_resumes_what_waited_for_it(mina, calls, watchers, database):
    """A connection that the service refused pauses its triggers; giving a new token or a good test lets them go on."""
    made = (await mina.post("/connections", json=TOKEN)).json()
    owner = (await database.fetch("SELECT user_id FROM connections ORDER BY id DESC LIMIT 1"))[0]["user_id"]
    connection_id = parse_id("conn", made["id"])
    task = (await mina.post("/tasks", json={"name": "x", "trigger": {"capability": "system.manual"}})).json()
    values = {"id": parse_id("trigger", task["trigger"]["id"]), "connection": connection_id}
    await database.fetch("UPDATE triggers SET connection_id = %(connection)s WHERE id = %(id)s", values)
    for change in ("patch", "test"):
        version = (await database.fetch("SELECT version FROM connections WHERE id = %(id)s", {"id": connection_id}))[0]
        refused = {"connection_id": connection_id, **version, "reason": "refused", "letters": [], "mail_ids": []}
        await mark_needs_reauth(database, owner=owner, **refused)
        assert (await mina.get(f"/connections/{made['id']}")).json()["status"] == "needs_reauth"
        assert (await mina.get(f"/tasks/{task['id']}")).json()["trigger"]["paused_reason"]
        nudges = watchers.nudges
        if change == "patch":
            await mina.patch(f"/connections/{made['id']}", json={"fields": {"token": "xoxb-new-new-new-new"}})
        else:
            calls.outcomes = [Succeeded({"label": None})]
            await mina.post(f"/connections/{made['id']}/test")
        assert (await mina.get(f"/connections/{made['id']}")).json()["status"] == "active"
        assert "paused_reason" not in (await mina.get(f"/tasks/{task['id']}")).json()["trigger"]
        assert watchers.nudges == nudges + 1
