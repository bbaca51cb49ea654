"""Parameters: defaults, computed defaults, validation, and what is certain while parts are templates."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.capability import ParamsSchema, parse_module
from taske_ray.errors import Invalid

_now = "2026-01-10T00:00:00Z"
_schema = {
    "type": "object",
    "required": ["name", "size"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "size": {"type": "integer", "default": 3, "maximum": 9},
        "color": {"enum": ["red", "blue"]},
        "mail": {"type": "string", "format": "email"},
        "nested": {"type": "object", "properties": {"depth": {"type": "integer", "default": 1}}},
        "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    },
}
schema = ParamsSchema(_schema)


def _codes(call: Any) -> set[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        call()
    return {(error.pointer, error.code) for error in caught.value.errors}


def test_defaults_fill_what_was_not_given() -> None:
    """Constant defaults are filled in, inside given objects too; null counts as not given."""
    assert schema.fill({"name": "ab", "size": None, "nested": {}}, now=_now) == {
        "name": "ab",
        "size": 3,
        "nested": {"depth": 1},
    }


def test_filling_leaves_what_was_given_alone() -> None:
    """Neither the given parameters nor the schema's own defaults are changed by filling."""
    given_params: dict[str, Any] = {"name": "ab", "nested": {}}
    filled = schema.fill(given_params, now=_now)
    filled["nested"]["depth"] = 99
    assert given_params == {"name": "ab", "nested": {}}
    assert schema.fill(given_params, now=_now)["nested"] == {"depth": 1}


@pytest.mark.parametrize(
    ("given_params", "pointer", "code"),
    [
        ({}, "/name", "missing"),
        ({"name": None}, "/name", "missing"),
        ({"name": "a"}, "/name", "out_of_range"),
        ({"name": 3}, "/name", "wrong_type"),
        ({"name": "ab", "size": 10}, "/size", "out_of_range"),
        ({"name": "ab", "size": "3"}, "/size", "wrong_type"),
        ({"name": "ab", "color": "green"}, "/color", "bad_enum"),
        ({"name": "ab", "mail": "nobody"}, "/mail", "bad_format"),
        ({"name": "ab", "other/one": 1}, "/other~1one", "unknown_field"),
        ({"name": "ab", "tags": ["x", 3]}, "/tags/1", "wrong_type"),
    ],
)
def test_what_does_not_fit(given_params: dict[str, Any], pointer: str, code: str) -> None:
    """Each broken rule is an error with the pointer of the value and a code; nothing is coerced."""
    assert (pointer, code) in _codes(lambda: schema.fill(given_params, now=_now))


@given(
    st.dictionaries(st.sampled_from(["name", "size", "color", "nested", "zz"]), st.none() | st.text() | st.integers())
)
def test_filling_twice_changes_nothing(given_params: dict[str, Any]) -> None:
    """What was filled once is a fixed point, so stored parameters can be filled again."""
    try:
        filled = schema.fill(given_params, now=_now)
    except Invalid:
        return
    assert schema.fill(filled, now="2030-01-01T00:00:00Z") == filled


def test_templates_see_absent_parameters_as_null() -> None:
    """A declared parameter that was not given is null in the scope, never missing."""
    assert schema.scope({"name": "ab"}) == dict.fromkeys(_schema["properties"]) | {"name": "ab"}  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("given_params", "errors"),
    [
        ({"name": "{{ trigger.output.n }}"}, set()),
        ({}, {("/name", "missing")}),
        ({"name": "{{ x }}", "zz": 1}, {("/zz", "unknown_field")}),
        ({"name": "{{ x }}", "size": "{{ y }}"}, set()),
        ({"name": "{{ x }}", "size": "about {{ y }}"}, {("/size", "wrong_type")}),
        ({"name": "a{{ x }}", "color": "{{ c }}"}, set()),
        ({"name": "{{ x }}", "size": 10}, {("/size", "out_of_range")}),
        ({"name": "{{ x }}", "tags": ["{{ a }}", "{{ a }}", 3]}, {("/tags/2", "wrong_type")}),
        ({"name": {"$if": "x", "then": "ab"}}, set()),
        ({"name": "{{ x }}", "mail": "{{ who }}@example.com"}, set()),
    ],
)
def test_what_is_certain_before_templates_are_known(given_params: Any, errors: set[tuple[str, str]]) -> None:
    """At save time only what no value of a template could mend is an error."""
    assert {(error.pointer, error.code) for error in schema.check_partial(given_params)} == errors


def test_computed_defaults_see_earlier_ones(document: dict[str, Any]) -> None:
    """An `x-default` is evaluated from the given parameters and `now`, and then validated like a given one."""
    properties = document["capabilities"][0]["params"]["properties"]
    properties["day"] = {"type": "string", "x-default": "{{ now | date: '%Y%m%d' }}"}
    properties["title"] = {"type": "string", "x-default": "{{ params.name }} {{ params.day }}"}
    params = parse_module(document).capabilities["shop.item.create"].params
    assert params.fill({"name": "n"}, now=_now) == {"name": "n", "price": 1, "day": "20260110", "title": "n 20260110"}
    assert params.fill({"name": "n", "day": "x"}, now=_now)["title"] == "n x"


def test_polls_take_how_often_to_look() -> None:
    """`every` is a parameter of each poll and must not be below the minimum."""
    poll = ParamsSchema({"type": "object", "additionalProperties": False}, minimum_every=timedelta(seconds=10))
    assert poll.fill({"every": "PT10S"}, now=_now) == {"every": "PT10S"}
    assert _codes(lambda: poll.fill({"every": "PT9S"}, now=_now)) == {("/every", "below_minimum")}
    assert _codes(lambda: poll.fill({"every": "often"}, now=_now)) == {("/every", "bad_duration")}
    assert [error.code for error in poll.check_partial({"every": "PT1S"})] == ["below_minimum"]
