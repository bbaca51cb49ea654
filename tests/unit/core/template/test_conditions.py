"""Conditions: rule 2.2 of the format."""

import pytest

from taske_ray.core.template import compile_condition

scope = {
    "a": True,
    "b": False,
    "n": 5,
    "zero": 0,
    "t": "hello",
    "e": "",
    "list": ["x", 1],
    "none": [],
    "o": {"k": None},
    "null": None,
    "response": {"status": 429, "body": {"error": "ratelimited"}},
}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (True, True),
        (False, False),
        ("a", True),
        ("b", False),
        ("true", True),
        ("nil", False),
        ("gone", False),
        ("gone.further", False),
        ("zero", True),
        ("e", True),
        ("none", True),
        ("null", False),
        ("response.status == 429 or response.body.error == 'x'", True),
        ("a and b", False),
        ("a and (b or n == 5)", True),
        ("not b", True),
        ("not (a and b)", True),
        ("a and not b", True),
        ("(not b) and a", True),
        ("a and a and a", True),
        ("b or b or a", True),
        ("n == 5", True),
        ("n != 5", False),
        ("n <> 4", True),
        ("n == 5.0", True),
        ("n == '5'", False),
        ("a == 1", False),
        ("zero == false", False),
        ("gone == nil", True),
        ("null == nil", True),
        ("gone != nil", False),
        ("gone == blank", False),
        ("e == blank", True),
        ("e == empty", True),
        ("none == empty", True),
        ("t != blank", True),
        ("null != blank", True),
        ("t and t != blank", True),
        ("n > 4", True),
        ("n >= 5", True),
        ("n < 5", False),
        ("n <= 5.5", True),
        ("t > 'abc'", True),
        ("null < 3", False),
        ("gone < 3", False),
        ("gone >= 3", False),
        ("t contains 'ell'", True),
        ("list contains 'x'", True),
        ("list contains 1", True),
        ("list contains true", False),
        ("o contains 'k'", True),
        ("gone contains 'x'", False),
        ("t contains gone", False),
        ("(1..5) contains 3", True),
        ("list == list", True),
        ("response.body == o", False),
        ("{{ a }}", True),
        ("{{ gone }}", False),
        ("{{- n == 5 -}}", True),
        ("{{ a and (b or a) }}", True),
        ("{{ response.body.error | one_of: 'invalid_auth', 'ratelimited' }}", True),
        ("{{ gone | present }}", False),
        ("{{ e | present }}", False),
        ("{{ zero | default: 1 }}", True),
        ("{{ 1 if b }}", False),
        ("  {{ t | matches: '^h' }}  ", True),
    ],
)
def test_conditions(engine, condition, expected):
    """A condition is Liquid's, or exactly one output whose value is tested."""
    assert engine.holds(condition, scope) is expected


@pytest.mark.parametrize(
    "condition",
    [
        "a and b or n",
        "a or b and n",
        "not a and b",
        "not a or b",
        "a and not b and n",
        "(a and b or n)",
        "a and (not b and n)",
        "{{ a and b or n }}",
        "{{ n if a and b or n }}",
        "not (a) and b",
    ],
)
def test_ambiguous_conditions(engine, condition):
    """`and` beside `or`, or either after a `not`, on one level of parentheses needs more of them."""
    assert engine.condition_code(condition) == "ambiguous_condition"


@pytest.mark.parametrize("template", ["{% if a and b or n %}{% endif %}", "{{ 1 if not a and b else 2 }}"])
def test_ambiguity_is_found_in_templates_too(engine, template):
    """Tags and ternaries hold conditions like any other."""
    assert engine.code(template) == "ambiguous_condition"


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "  ",
        "a ==",
        "a = b",
        "a &&  b",
        "{% if a %}",
        "a %}x{% if b",
        "{{ a }} == 1",
        "a == '{{ b }}'",
        "{{ a }}{{ b }}",
        "{{ }}",
        "{{ a == }}",
        "a | upcase",
        "a -",
        "(a",
        "a)",
        "1 in list",
        None,
        1,
        [],
    ],
)
def test_what_is_no_condition(engine, condition):
    """Everything else is `condition_syntax`."""
    assert engine.condition_code(condition) == "condition_syntax"


@pytest.mark.parametrize("condition", ["t < 3", "3 >= t", "a < 2", "list > 1"])
def test_different_types_have_no_order(engine, condition):
    """`<` and its relatives compare two numbers or two texts."""
    assert engine.condition_code(condition, scope) == "template_type"


def test_a_filter_in_a_condition_is_checked(engine):
    """An unknown filter is found when compiled, and a missing input is an error as in any output."""
    assert engine.condition_code("{{ a | nope }}") == "unknown_filter"
    assert engine.condition_code("{{ gone | upcase }}") == "template_undefined"


def test_a_condition_knows_its_paths():
    """Both kinds of condition say what they read."""
    assert compile_condition("a.b == c and d[0]").paths() == {("a", "b"), ("c",), ("d", 0)}
    assert compile_condition("{{ a.b | one_of: c }}").paths() == {("a", "b"), ("c",)}
    assert compile_condition(condition=True).paths() == frozenset()
    assert compile_condition(condition=True).is_constant


def test_the_length_of_a_condition(engine):
    """4 KiB at most."""
    assert engine.holds("a == '" + "x" * 4000 + "'") is False
    assert engine.condition_code("a == '" + "x" * 4096 + "'") == "template_too_long"
