"""When a task may move on to a capability's next version by itself."""

import pytest

from taske_ray.core.capability.compatibility import breaking

OLD = {
    "kind": "action",
    "params": {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "string"}, "b": {"type": "string", "enum": ["x", "y"]}},
    },
    "output": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}, "at": {}}},
    "scopes": ["read"],
    "poll": {"key": "{{ item.id }}", "cursor": {"type": "timestamp"}},
}


def changed(**parts):
    return {**OLD, **parts}


def params(**parts):
    return changed(params={**OLD["params"], **parts})


def output(**parts):
    return changed(output={**OLD["output"], **parts})


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        changed(name="Another name", description="other words"),
        params(properties={**OLD["params"]["properties"], "c": {"type": "integer"}}),
        params(required=[]),
        params(properties={**OLD["params"]["properties"], "b": {"type": "string", "enum": ["x", "y", "z"]}}),
        params(properties={**OLD["params"]["properties"], "b": {"type": "string"}}),
        output(properties={**OLD["output"]["properties"], "more": {}}),
        changed(scopes=[]),
        changed(request={"method": "GET"}),
    ],
)
def test_compatible_changes(new):
    """More to give, more to get, fewer scopes, other requests: nothing that an old task could trip over."""
    assert breaking(OLD, new) == []


@pytest.mark.parametrize(
    ("new", "pointer"),
    [
        (changed(kind="trigger"), "/kind"),
        (changed(poll={"key": "{{ item.uid }}", "cursor": {"type": "timestamp"}}), "/poll/key"),
        (changed(poll={"key": "{{ item.id }}", "cursor": {"type": "integer"}}), "/poll/cursor/type"),
        (params(required=["a", "b"]), "/params/required/b"),
        (params(properties={"a": {"type": "string"}}), "/params/properties/b"),
        (params(properties={**OLD["params"]["properties"], "a": {"type": "integer"}}), "/params/properties/a"),
        (
            params(properties={**OLD["params"]["properties"], "b": {"type": "string", "enum": ["x"]}}),
            "/params/properties/b",
        ),
        (output(properties={"id": {"type": "string"}}), "/output/properties/at"),
        (output(required=[]), "/output/required/id"),
        (changed(scopes=["read", "write"]), "/scopes"),
    ],
)
def test_breaking_changes(new, pointer):
    """Each kind of breaking change is found at its place."""
    assert pointer in breaking(OLD, new)
