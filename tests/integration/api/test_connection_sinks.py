"""Every place of a request where a connection's id may stand, and the same cases through each (security, 8.2 and 19.4).

The places are read from the OpenAPI document: a new one that is not in the table fails. What a connection's id does
after a request was taken goes through `ConnectionResolver.open` (`tests/integration/actors/test_connections.py`).
"""

from typing import Any

import pytest

from taske_ray.clock import new_id
from taske_ray.core.ids import format_id, parse_id
from taske_ray.core.outcome import Succeeded
from tests.integration.api.whole_service import API, OPERATIONS, SLACK, TASK, stranger_view

pytestmark = pytest.mark.integration
MINE, SHARED = "/api/v1/connections/{connection_id}", "/api/v1/admin/connections/{connection_id}"
MESSAGES = {"capability": "slack.message.new", "params": {"channel": "C1"}}
ACTION = {name: SLACK[name] for name in ("capability", "params")}
INVOKE = "/api/v1/capabilities/slack.chat.post_message/invoke"
PLACES: dict[tuple[str, str, str], Any] = {
    ("GET", MINE, "path"): lambda one: (MINE.format(connection_id=one), None),
    ("PATCH", MINE, "path"): lambda one: (MINE.format(connection_id=one), {"name": "other"}),
    ("POST", f"{MINE}/test", "path"): lambda one: (f"{MINE}/test".format(connection_id=one), {}),
    ("DELETE", MINE, "path"): lambda one: (MINE.format(connection_id=one), None),
    ("GET", SHARED, "path"): lambda one: (SHARED.format(connection_id=one), None),
    ("PATCH", SHARED, "path"): lambda one: (SHARED.format(connection_id=one), {"name": "other"}),
    ("POST", f"{SHARED}/test", "path"): lambda one: (f"{SHARED}/test".format(connection_id=one), {}),
    ("DELETE", SHARED, "path"): lambda one: (SHARED.format(connection_id=one), None),
    ("POST", "/api/v1/tasks", "/trigger/connection"): lambda one: (
        "/api/v1/tasks",
        {**TASK, "trigger": {**MESSAGES, "connection": one}},
    ),
    ("POST", "/api/v1/tasks", "/actions/*/connection"): lambda one: (
        "/api/v1/tasks",
        {**TASK, "actions": [{**ACTION, "connection": one}]},
    ),
    ("PUT", "/api/v1/tasks/{task_id}", "/trigger/connection"): lambda one: (
        "/api/v1/tasks/{task_id}",
        {**TASK, "trigger": {**MESSAGES, "connection": one}},
    ),
    ("PUT", "/api/v1/tasks/{task_id}", "/actions/*/connection"): lambda one: (
        "/api/v1/tasks/{task_id}",
        {**TASK, "actions": [{**ACTION, "connection": one}]},
    ),
    ("POST", "/api/v1/capabilities/{capability}/invoke", "/connection"): lambda one: (
        INVOKE,
        {"params": SLACK["params"], "connection": one},
    ),
    ("POST", "/api/v1/connections/authorize", "/connection"): lambda one: (
        "/api/v1/connections/authorize",
        {"connection": one},
    ),
    ("POST", "/api/v1/admin/connections/authorize", "/connection"): lambda one: (
        "/api/v1/admin/connections/authorize",
        {"connection": one},
    ),
}
"""How a request looks that names this connection there."""


def pointers(schema, seen=()):
    """Where in a body of this schema a connection may be named."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name in seen:
        return
    if name:
        yield from pointers(API["components"]["schemas"][name], (*seen, name))
    for one in (*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("oneOf", ())):
        yield from pointers(one, seen)
    for field, inner in schema.get("properties", {}).items():
        if field in ("connection", "connection_id", "connections"):
            yield f"/{field}"
        yield from (f"/{field}{rest}" for rest in pointers(inner, seen))
    if "items" in schema:
        yield from (f"/*{rest}" for rest in pointers(schema["items"], seen))


def test_every_place_is_in_the_table():
    """Path and query parameters and bodies, as the service describes them."""
    found = set()
    for verb, path, op in OPERATIONS:
        for parameter in op.get("parameters", ()):
            if "connection" in parameter["name"]:
                found.add((verb, path, parameter["in"]))
        for content in op.get("requestBody", {}).get("content", {}).values():
            found |= {(verb, path, pointer) for pointer in pointers(content.get("schema", {}))}
    assert found == set(PLACES)


@pytest.fixture
async def deleted(database):
    """Call it with a connection: its id, when it is gone."""

    async def delete(one):
        await database.fetch("DELETE FROM connections WHERE id = %(id)s", {"id": parse_id("conn", one)})
        return one

    return delete


async def test_only_one_s_own_is_known(somebody, things, calls, deleted, database):
    """Foreign, made up, deleted and no id at all: one answer, byte for byte, which is not that to one's own."""
    owner, stranger, admin = await somebody(), await somebody(), await somebody(admin=True)
    task_id = await things.task_id(owner, "")
    broken = []
    for (verb, path, place), request in PLACES.items():
        shared = "/admin/" in path
        caller = admin if shared else owner

        async def make(shared=shared):
            if shared:
                await database.fetch("DELETE FROM connections WHERE user_id IS NULL")
                return await things.instance_connection_id()
            return await things.connection_id(owner, "")

        foreign = await things.connection_id(stranger, "")
        cases = {
            "foreign": foreign,
            "missing": format_id("conn", new_id()),
            "deleted": await deleted(await make()),
            "malformed": "conn_x",
            "of another kind": format_id("task", new_id()),
            "shouting": foreign.upper(),
        }
        calls.outcomes = [Succeeded({"label": "mine"})] * 10
        answers = {}
        for name, one in {**cases, "own": await make()}.items():
            where, body = request(one)
            answer = await caller.send(verb, where.replace("{task_id}", task_id), body)
            answers[name] = stranger_view(answer, one)
        own, unknown = answers.pop("own"), answers["missing"]
        if own == unknown or any(seen != unknown for seen in answers.values()):
            broken.append((verb, path, place, own, answers))
        wanted = 404 if place == "path" else 422
        if unknown[0] != wanted or own[0] == 404:
            broken.append((verb, path, place, own[0], unknown[0]))
    assert broken == []
