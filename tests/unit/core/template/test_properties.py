"""Rules that hold for all data: literals, single pass, types, and that the short cut for paths is only a short cut."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.template import compile_condition, compile_text, compile_value, contains_template
from taske_ray.core.template.json_text import missing
from taske_ray.core.template.limits import Work
from taske_ray.core.template.syntax import OutputValue, PathValue, TextBlock, parse
from taske_ray.errors import TemplateError

texts = st.text(max_size=20)
marked = st.lists(st.sampled_from(["{{ x }}", "{%", "}}", "%}", "{{", "x", " ", "'", "|", "$if"]), max_size=6).map(
    "".join
)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
keys = st.sampled_from(["a", "b", "size", "first", "last", "c d", "0", "$if", "$$map"]) | texts
values = st.recursive(
    scalars | texts | marked,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
segments = st.lists(
    st.sampled_from(["a", "b", "size", "first", "last", "c d", "0", "", "gone"]) | st.integers(-4, 4), max_size=4
)


@given(texts | marked)
def test_literals_are_untouched(text):
    """A text without opener is itself."""
    if not contains_template(text):
        assert compile_text(text).evaluate({}) == text


@given(values)
def test_data_is_never_a_template(value):
    """Whatever arrives as data comes out as it is: whole, in text, and through a filter."""
    before = copy.deepcopy(value)
    scope = {"x": value}
    result = compile_text("{{ x }}").evaluate(scope)
    assert result == before
    assert type(result) is type(before)
    if isinstance(value, str):
        assert compile_text("<{{ x }}>").evaluate(scope) == f"<{value}>"
        assert compile_text("{% assign y = x %}<{{ y | append: '' }}>").evaluate(scope) == f"<{value}>"
    assert value == before


@given(values)
def test_json_is_kept(value):
    """`json` and `parse_json` are inverse, and `$json` is `json`."""
    scope = {"x": value}
    assert compile_text("{{ x | json | parse_json }}").evaluate(scope) == value
    text = compile_value({"$json": "{{ x }}"}).evaluate(scope)
    assert text == compile_text("{{ x | json }}").evaluate(scope)
    assert json.loads(text) == value


@given(values)
def test_equality_is_jsons(value):
    """A value equals its copy."""
    assert compile_condition("x == y").evaluate({"x": value, "y": copy.deepcopy(value)})
    assert compile_condition("{{ x | one_of: y }}").evaluate({"x": value, "y": [copy.deepcopy(value)]})


def path_text(path):
    """A path as an author writes it."""
    return "x" + "".join(f"['{key}']" if isinstance(key, str) else f"[{key}]" for key in path)


@given(values, segments)
def test_the_short_cut_is_the_long_way(value, path):
    """A plain path gives the same, walked directly, by Liquid's evaluation, and inside text."""
    text = f"{{{{ {path_text(path)} }}}}"
    short = parse(text)
    block = parse(f"{text}{{% # %}}")
    long_way = parse(f"{{{{ {path_text(path)} if true }}}}")
    assert isinstance(short, PathValue)
    assert isinstance(long_way, OutputValue)
    assert isinstance(block, TextBlock)
    scope = {"x": value}
    found = short.evaluate(scope, Work())
    assert found is long_way.evaluate(scope, Work()) or found == long_way.evaluate(scope, Work())
    if found is missing:
        with pytest.raises(TemplateError, match="is missing"):
            block.evaluate(scope, Work())
    else:
        as_text = compile_text("{{ y | str | default: '' }}").evaluate({"y": found})
        assert block.evaluate(scope, Work()) == as_text


@given(values)
def test_compiling_ends_in_a_value_or_an_error_of_ours(value):
    """Nothing that an author writes makes the compiler fail in another way."""
    try:
        template = compile_value(value)
        template.evaluate({"x": 1})
    except TemplateError:
        return
    assert template.is_constant or contains_template(value) or "$" in json.dumps(value)


soup = (
    "{{ }} {% %} {{- -}} if unless for in case when assign = capture raw endraw endif endfor x x.y [ ] ( ) .. 'a' \" ' "
    "| || : , and or not == < contains default upcase size first 1 -1 1.5 # comment endcomment \n - ?"
)
fragments = st.sampled_from(soup.split(" "))


@given(st.lists(fragments, max_size=30).map(" ".join), st.booleans())
def test_any_text_compiles_or_is_refused(text, condition):
    """Random token soup never ends in an exception that is not ours, compiled or evaluated."""
    try:
        template = compile_condition(text) if condition else compile_value(text)
        template.evaluate({"x": {"y": [1, "a", None]}})
    except TemplateError:
        return


@given(st.lists(st.booleans(), min_size=3, max_size=3))
def test_conditions_mean_what_parentheses_say(given_values):
    """With its parentheses written, a condition has Python's meaning."""
    a, b, c = given_values
    scope = {"a": a, "b": b, "c": c}
    assert compile_condition("(a and b) or c").evaluate(scope) is ((a and b) or c)
    assert compile_condition("a and (b or c)").evaluate(scope) is (a and (b or c))
    assert compile_condition("(not a) or (b and not c)").evaluate(scope) is ((not a) or (b and not c))
