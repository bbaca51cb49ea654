"""What an admin is told about the next version of a module."""

from taske_ray.core.capability.changes import Change, broken_capabilities, changes

ACTION = {
    "capability": "m.a",
    "kind": "action",
    "params": {"type": "object", "properties": {"x": {"type": "string"}}},
    "tests": [{"name": "one"}],
}
OTHER = {"capability": "m.b", "kind": "action", "output": {"type": "object", "properties": {"id": {}}}}
OLD = {"module": "m", "version": 1, "base_url": "https://a.example", "capabilities": [ACTION, OTHER]}


def test_the_same_document_has_no_changes():
    """Neither equal documents nor another stated version differ."""
    assert changes(OLD, OLD | {"version": 2}) == []


def test_what_is_added_removed_and_changed_has_a_pointer():
    """Each place is named once, with what happened to it; a removed capability breaks."""
    new = {"module": "m", "base_url": "https://b.example", "icon": "https://b.example/i", "capabilities": [OTHER]}
    assert changes(OLD, new) == [
        Change("/base_url", "changed"),
        Change("/icon", "added"),
        Change("/capabilities/0", "removed", breaking=True),
    ]
    assert broken_capabilities(OLD, new) == ["m.a"]


def test_a_breaking_place_is_marked_where_it_is():
    """A removed parameter breaks, a new optional one does not; tests are one thing."""
    params = {"type": "object", "properties": {"y": {"type": "string"}}}
    new = OLD | {"capabilities": [ACTION | {"params": params, "tests": []}, OTHER]}
    assert set(changes(OLD, new)) == {
        Change("/capabilities/0/params/properties/y", "added"),
        Change("/capabilities/0/params/properties/x", "removed", breaking=True),
        Change("/capabilities/0/tests", "changed"),
    }
    assert broken_capabilities(OLD, new) == ["m.a"]


def test_a_newly_required_parameter_breaks():
    """The list of required parameters is the place."""
    params = ACTION["params"] | {"required": ["x"]}
    new = OLD | {"capabilities": [ACTION | {"params": params}, OTHER]}
    assert changes(OLD, new) == [Change("/capabilities/0/params/required", "added", breaking=True)]
