"""Generated from the OpenAPI document (security, 8.4 and 19.1): a stranger's view of every operation.

Every operation with an id of somebody's own is called by another user, every one without a token, every write with an
extra field. A new operation is in here by itself; a new kind of id must be told how one is made.
"""

import json
from typing import Any
from uuid import uuid4

import pytest

from taske_ray.clock import new_id
from taske_ray.core.ids import format_id
from tests.integration.api.whole_service import API, OPERATIONS, SLACK, TASK, Caller, stranger_view

pytestmark = pytest.mark.integration
OF_NOBODY = {"module", "auth", "capability", "provider", "name", "token", "user_id"}
"""Path parameters that name what is everybody's, or administrators' to see; a hook's token is a secret of its own."""

BODIES: dict[tuple[str, str], Any] = {
    ("PUT", "/api/v1/tasks/{task_id}"): {**TASK, "name": "other"},
    ("PATCH", "/api/v1/connections/{connection_id}"): {"name": "other"},
    ("POST", "/api/v1/tasks/{task_id}/backfill"): {"from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"},
    ("POST", "/api/v1/tasks/{task_id}/rollback"): {"version": 1},
    ("POST", "/api/v1/runs/{run_id}/resolve"): {"decision": "fail"},
}
"""What makes sense to operations with an id that want a body."""


def personal():
    """Every operation on something that is somebody's own, with its parameter; what ends things comes last."""
    found = [
        (verb, path, parameter["name"])
        for verb, path, op in OPERATIONS
        for parameter in op.get("parameters", ())
        if parameter["in"] == "path" and parameter["name"] not in OF_NOBODY and "/admin/" not in path
    ]
    return sorted(found, key=lambda one: (one[0] == "DELETE", one[1].endswith("/not-me"), one[1]))


def test_the_document_has_personal_operations():
    """The suite is not empty: tasks, runs, connections, keys and sessions are all in it."""
    assert len(personal()) >= 22
    assert {parameter for _, _, parameter in personal()} >= {
        "task_id",
        "run_id",
        "connection_id",
        "key_id",
        "session_id",
    }


async def test_a_foreign_id_looks_like_a_missing_one(somebody, things):
    """Each operation with the id of another user's thing answers as with a made-up id: status, headers and body.

    For another user, with a session and with an API key, and for an administrator; the owner succeeds.
    """
    stranger, admin = await somebody(), await somebody(admin=True)
    key = (await stranger.made("POST", "/auth/api-keys", {"name": "k"}))["key"]
    callers = {"stranger": stranger, "admin": admin, "key": Caller(stranger.http, {"authorization": f"Bearer {key}"})}
    broken, usual = [], await somebody()
    for verb, path, parameter in personal():
        owner = await somebody() if parameter == "session_id" else usual  # who ends a session is out
        foreign = await things.of(owner, parameter, path)
        prefix = foreign.partition("_")[0]
        made_up, malformed = format_id(prefix, new_id()), f"{prefix}_x"
        body = BODIES.get((verb, path))
        for name, caller in callers.items():
            seen, other, odd = [
                stranger_view(await caller.send(verb, path, body, **{parameter: one}), one)
                for one in (foreign, made_up, malformed)
            ]
            refused_before = name == "key" and seen[0] == 403
            if not (seen == other == odd and (seen[0] == 404 or refused_before)):
                broken.append((name, verb, path, seen, other, odd))
        own = await owner.send(verb, path, body, **{parameter: foreign})
        if not own.is_success:
            broken.append(("owner", verb, path, own.status_code, own.text))
    assert broken == []


async def test_nothing_is_for_nobody(http):
    """Every operation that is not public is 401 without a token, with a made-up one, and with one that is no token."""
    broken = []
    for verb, path, op in OPERATIONS:
        if op["security"] == []:
            continue
        ids = {p["name"]: format_id("task", new_id()) for p in op.get("parameters", ()) if p["in"] == "path"}
        for token in (None, "Bearer x", f"Bearer tsk_{uuid4().hex}_{'x' * 43}", "Basic eDp4", "Bearer a.b.c"):
            headers = {} if token is None else {"authorization": token}
            answer = await Caller(http, headers).send(verb, path, {"any": 1} if verb != "GET" else None, **ids)
            if answer.status_code != 401 or answer.headers.get("www-authenticate") != "Bearer":
                broken.append((verb, path, token, answer.status_code))
    assert broken == []


async def test_no_write_takes_an_unknown_field(somebody, things):
    """Nobody assigns a role, an owner or a quota by adding a key: an extra field is 422 with its pointer."""
    admin = await somebody(admin=True)
    broken, tried = [], 0
    for verb, path, op in OPERATIONS:
        if "application/json" not in op.get("requestBody", {}).get("content", {}) or path.startswith("/hooks"):
            continue
        tried += 1
        named = [p["name"] for p in op.get("parameters", ()) if p["in"] == "path"]
        ids = {name: "slack" if name in OF_NOBODY else await things.of(admin, name, path) for name in named}
        if path.startswith("/api/v1/admin/connections/"):
            ids["connection_id"] = await things.instance_connection_id()
        for field in ("user_id", "owner", "x"):
            answer = await admin.send(verb, path, {field: "admin"}, **ids)
            errors = answer.json().get("errors", [])
            if answer.status_code != 422 or not any(one["pointer"] == f"/{field}" for one in errors):
                broken.append((verb, path, field, answer.status_code, answer.text))
    assert broken == []
    assert tried > 25


def fields_named(schema, names, found=None):
    """The paths of the fields of these names in a schema, wherever they stand."""
    found = set() if found is None else found
    for value in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        if isinstance(value, dict) and isinstance(value.get("properties"), dict):
            found |= {name for name in value["properties"] if name in names or name.endswith("_id")}
        fields_named(value, names, found)
    return found


def sinks(connection_id, task_id):
    """Every place of a request where an id of somebody's thing may stand, as (verb, path, body)."""
    poll = {"capability": "http.poll", "params": {"url": "https://example.com/", "items": "x", "key": "y"}}
    called = {**SLACK, "connection": connection_id}
    invoke = "/api/v1/capabilities/slack.chat.post_message/invoke"
    return [
        ("POST", "/api/v1/tasks", {**TASK, "trigger": {**poll, "connection": connection_id}}),
        ("POST", "/api/v1/tasks", {**TASK, "actions": [called]}),
        ("POST", invoke, {name: called[name] for name in ("connection", "params")}),
        ("POST", "/api/v1/connections/authorize", {"connection": connection_id}),
        ("GET", f"/api/v1/runs?task_id={task_id}", None),
        ("POST", "/auth/api-keys", {"name": "k", "task_id": task_id}),
    ]


async def test_a_foreign_id_in_a_body_or_query_is_unknown(somebody, things):
    """Wherever a request may name somebody's thing, a foreign id is answered like a made-up one."""
    owner, stranger = await somebody(), await somebody()
    foreign = await things.connection_id(owner, ""), await things.task_id(owner, "")
    await owner.made("POST", f"/api/v1/tasks/{foreign[1]}/run")
    made_up = format_id("conn", new_id()), format_id("task", new_id())
    for theirs, nobodys in zip(sinks(*foreign), sinks(*made_up), strict=True):
        seen, other = [stranger_view(await stranger.send(*each), *foreign, *made_up) for each in (theirs, nobodys)]
        assert seen == other, theirs
        assert seen[2]["items"] == [] if theirs[0] == "GET" else seen[0] == 422, theirs


def test_every_place_for_an_id_is_a_sink():
    """A request body that gets another place for an id must be tried above."""
    bodies = {
        name: schema
        for name, schema in API["components"]["schemas"].items()
        if any(name in json.dumps(op.get("requestBody", {})) for _, _, op in OPERATIONS)
    }
    names = {field for schema in bodies.values() for field in fields_named({"": schema}, {"connection", "task"})}
    specs = fields_named(API["components"]["schemas"], {"connection"})
    assert names - {"client_id"} == {"connection", "task_id"}
    assert "connection" in specs


async def test_a_cursor_is_good_for_its_caller_and_its_list_alone(somebody, things):
    """A cursor of another user, of another list or other filters, changed or cut, is refused; its own goes on."""
    owner, stranger = await somebody(), await somebody()
    for caller in (owner, stranger):
        for _ in range(3):
            await things.task_id(caller, "")
    first = await owner.made("GET", "/api/v1/tasks?limit=2")
    cursor = first["next_cursor"]
    assert len((await owner.made("GET", f"/api/v1/tasks?limit=2&cursor={cursor}"))["items"]) == 1
    swapped = cursor[:-2] + ("AA" if not cursor.endswith("AA") else "BB")
    refused = [
        await stranger.send("GET", f"/api/v1/tasks?limit=2&cursor={cursor}"),
        await owner.send("GET", f"/api/v1/tasks?name=mine&cursor={cursor}"),
        await owner.send("GET", f"/api/v1/runs?cursor={cursor}"),
        await owner.send("GET", f"/api/v1/tasks?cursor={swapped}"),
        await owner.send("GET", f"/api/v1/tasks?cursor={cursor[:-4]}"),
        await owner.send("GET", "/api/v1/tasks?cursor=x"),
    ]
    assert [answer.status_code for answer in refused] == [422] * len(refused)


async def test_lists_take_their_owner_from_the_token_alone(somebody, things):
    """Names of users in queries and headers change nothing: everybody sees their own."""
    owner, stranger = await somebody(), await somebody()
    mine = await things.task_id(owner, "")
    me = (await owner.made("GET", "/auth/me"))["id"]
    forged = {"x-user-id": me, "x-forwarded-user": me, "x-tenant": me, "x-role": "admin"}
    claiming = Caller(stranger.http, {**stranger.headers, **forged})
    for path in ("/api/v1/tasks", "/api/v1/runs", "/api/v1/connections", "/auth/api-keys"):
        answer = await claiming.send("GET", f"{path}?user_id={me}&owner={me}")
        assert answer.status_code in (200, 422)
        assert mine not in answer.text
    assert (await claiming.send("GET", f"/api/v1/tasks/{mine}")).status_code == 404
    assert (await claiming.send("PUT", "/api/v1/admin/modules/x", {})).status_code == 403


async def test_personal_answers_are_kept_by_no_cache(somebody, things):
    """Everything behind a token says `no-store` and `Vary: Authorization`, refusals included."""
    owner = await somebody()
    task_id = await things.task_id(owner, "")
    for caller in (owner, Caller(owner.http, {})):
        for path in ("/auth/me", "/api/v1/tasks", f"/api/v1/tasks/{task_id}", "/api/v1/tasks/task_x"):
            answer = await caller.send("GET", path)
            assert answer.headers["cache-control"] == "no-store", path
            assert "authorization" in answer.headers["vary"].lower(), path


async def test_administrators_see_nobodys_secrets(somebody, things):
    """An administrator has the catalog and the metrics, and no way to another user's things."""
    owner, admin = await somebody(), await somebody(admin=True)
    await things.connection_id(owner, "")
    await things.task_id(owner, "")
    for path in ("/api/v1/tasks", "/api/v1/runs", "/api/v1/connections"):
        assert (await admin.made("GET", path))["items"] == []
    theirs = {"connection_id": await things.connection_id(owner, ""), "module": "slack", "auth": "oauth"}
    theirs["user_id"] = (await owner.made("GET", "/auth/me"))["id"]
    for verb, path, op in OPERATIONS:
        if op.get("x-permission") in ("admin", "operator"):
            body = {} if verb in ("PUT", "PATCH", "POST") else None
            assert (await owner.send(verb, path, body, **theirs)).status_code == 403, (verb, path)
            if "{connection_id}" in path:  # only those of the instance itself
                body = BODIES[verb, "/api/v1/connections/{connection_id}"] if verb == "PATCH" else None
                assert (await admin.send(verb, path, body, **theirs)).status_code == 404, (verb, path)
