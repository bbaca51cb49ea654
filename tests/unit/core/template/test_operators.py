"""Operators in values (format 2.5), error pointers, and masking (2.7)."""

import copy
import pickle

import pytest

from taske_ray.core.template import OMIT, compile_text, compile_value

scope = {"a": 1, "t": "x", "list": [1, 2, 3], "o": {"b": 2, "c": None}, "null": None, "yes": True}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"$if": "yes", "then": "{{ a }}", "else": 2}, 1),
        ({"$if": "gone", "then": 1, "else": {"x": "{{ t }}"}}, {"x": "x"}),
        ({"$if": True, "then": 1}, 1),
        ({"k": {"$if": "gone", "then": 1}, "m": 2}, {"m": 2}),
        ([1, {"$if": False, "then": 1}, 3], [1, 3]),
        ({"k": {"$omit": True}}, {}),
        ([{"$omit": True}], []),
        ({"$map": "{{ list }}", "value": "{{ item | plus: 1 }}"}, [2, 3, 4]),
        (
            {"$map": "{{ list }}", "as": "n", "value": {"v": "{{ n }}", "a": "{{ a }}"}},
            [{"v": n, "a": 1} for n in (1, 2, 3)],
        ),
        ({"$map": "{{ null }}", "value": 1}, []),
        ({"$map": "{{ gone }}", "value": 1}, []),
        ({"$map": {"$omit": True}, "value": 1}, []),
        ({"$map": ["{{ a }}", 5], "value": "{{ item }}"}, [1, 5]),
        ({"$map": "{{ list }}", "value": {"$if": "item == 2", "then": "two"}}, ["two"]),
        (
            {"$map": "{{ list }}", "as": "x", "value": {"$map": [10], "as": "y", "value": "{{ x | times: y }}"}},
            [[10], [20], [30]],
        ),
        ({"$merge": [{"a": 1, "b": 1}, None, "{{ o }}", {"$if": False, "then": {}}]}, {"a": 1, "b": 2, "c": None}),
        ({"$merge": []}, {}),
        ({"$json": {"a": "{{ list }}", "t": "é"}}, '{"a":[1,2,3],"t":"é"}'),
        ({"$json": "{{ t }}"}, '"x"'),
        ({"$json": None}, "null"),
        ({"$$if": 1, "$$$map": 2, "$ref": 3, "$$x": 4, "$": 5}, {"$if": 1, "$$map": 2, "$ref": 3, "$$x": 4, "$": 5}),
        ({"then": 1, "else": 2, "as": 3}, {"then": 1, "else": 2, "as": 3}),
    ],
)
def test_operators(engine, value, expected):
    """Each operator gives what the table says; everything else is data."""
    assert engine.value(value, scope) == expected


def test_a_whole_that_is_omitted(engine):
    """`$omit` at the top is the sentinel, which is one of its kind."""
    assert engine.value({"$omit": True}) is OMIT
    assert engine.value({"$if": "gone", "then": 1}) is OMIT
    assert copy.deepcopy(OMIT) is OMIT
    assert pickle.loads(pickle.dumps(OMIT)) is OMIT


@pytest.mark.parametrize(
    "value",
    [
        {"$if": "a"},
        {"$if": "a", "then": 1, "other": 2},
        {"$map": [1]},
        {"$map": [1], "value": 1, "as": "a b"},
        {"$map": [1], "value": 1, "as": "{{ x }}"},
        {"$map": [1], "value": 1, "as": "limit"},
        {"$map": [1], "value": 1, "as": 5},
        {"$merge": {"a": 1}},
        {"$merge": "{{ list }}"},
        {"$omit": False},
        {"$omit": 1},
        {"$omit": True, "x": 1},
        {"$json": 1, "$map": 2},
        {"$map": "{{ a }}", "value": 1},
        {"$map": "{{ t }}", "value": 1},
        {"$map": {"x": 1}, "value": 1},
        {"$merge": ["{{ list }}"]},
        {"$merge": [1]},
    ],
)
def test_bad_operators(engine, value):
    """A wrong shape is found when compiled, a wrong value when evaluated."""
    assert engine.code(value, scope) == "bad_operator"


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ("{{ x | nope }}", ""),
        ({"a": ["b", {"c/d~": "{{ x | nope }}"}]}, "/a/1/c~1d~0"),
        ({"a": {"$if": "a ==", "then": 1}}, "/a/$if"),
        ({"a": {"$if": True, "then": ["{{ }}"]}}, "/a/then/0"),
        ({"a": {"$map": "{{ t }}", "value": 1}}, "/a/$map"),
        ({"a": {"$map": [1], "value": {"x": "{{ item | upcase | plus: 'x' }}"}}}, "/a/value/x"),
        ({"a": {"$merge": [{}, 5]}}, "/a/$merge/1"),
        ({"a": {"$if": "t < 1", "then": 1}}, "/a/$if"),
        ({"a": {"b": "x{{ gone }}"}}, "/a/b"),
        ({"a": {"$omit": 2}}, "/a/$omit"),
    ],
)
def test_errors_point_at_their_place(engine, value, pointer):
    """Compiling and evaluating, an error carries a JSON pointer inside the value."""
    assert engine.pointer(value, scope) == pointer


def test_strict_values_are_strict_at_any_depth(engine):
    """In a task's parameters a missing value is an error with its place."""
    assert engine.pointer({"a": [{"b": "{{ gone }}"}]}, strict=True) == "/a/0/b"


def test_keys_are_literal(engine):
    """A template in a key is not allowed."""
    assert engine.code({"{{ a }}": 1}) == "template_not_allowed"


secrets = frozenset({("conn", "secret"), ("app", "secret"), ("hook", "state"), ("generated",)})
secret_scope = {
    "conn": {"secret": {"token": "s3cret", "list": ["s1", "s2"]}, "config": {"url": "u"}},
    "generated": {"key": "g"},
    "item": "plain",
    "which": "secret",
    "list": ["a"],
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Bearer {{ conn.secret.token }}", "••••"),
        ("{{ conn.secret.token }}", "••••"),
        ("{{ conn['secret'].token | upcase }}", "••••"),
        ("{{ conn | json }}", "••••"),
        ("{{ conn[which].token }}", "••••"),
        ("{% assign c = conn %}{{ c.config.url }}", "••••"),
        ("{{ item | append: generated.key }}", "••••"),
        ("{{ conn.config.url }}", "u"),
        ("{{ item }}", "plain"),
        ("literal", "literal"),
        ({"a": ["{{ generated.key }}", "{{ item }}"]}, {"a": ["••••", "plain"]}),
        ({"$map": "{{ conn.secret.list }}", "value": "{{ item }}"}, ["••••", "••••"]),
        ({"$map": "{{ conn.secret.list }}", "as": "x", "value": "{{ item }}"}, ["plain", "plain"]),
        ({"$map": "{{ list }}", "as": "generated", "value": "{{ generated }}"}, ["a"]),
        ({"$merge": [{"a": 1}, "{{ conn.secret }}"]}, "••••"),
        ({"$json": {"k": "{{ conn.secret.token }}"}}, '{"k":"••••"}'),
    ],
)
def test_masked_values(value, expected):
    """Every string whose template names a secret is masked, also through `$map` and computed segments."""
    template = compile_value(value)
    assert template.evaluate_masked(secret_scope, secrets) == expected
    template.evaluate(secret_scope)


def test_whether_a_secret_is_read():
    """`reads` is about roots, what is below them, and what contains them."""
    assert compile_text("{{ conn.secret.token }}").reads(secrets)
    assert compile_text("{{ conn }}").reads(secrets)
    assert not compile_text("{{ conn.config.secret }}").reads(secrets)
