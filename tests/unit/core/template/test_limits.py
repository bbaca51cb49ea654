"""Limits (format 2.8) and the measured attacks of security 11.3: an error, and never more work than the budget."""

import json

import pytest

from taske_ray.core.template import compile_condition, compile_value, count_tags, limits
from taske_ray.core.template.limits import Work, budget
from taske_ray.core.template.scan import check_template
from taske_ray.core.template.tree import Rendering
from taske_ray.errors import TemplateError

mebi = 1024 * 1024
objects = [{"id": number, "name": f"name {number}"} for number in range(10_000)]
scope = {
    "kb": "a" * 1000,
    "big": "a" * mebi,
    "other": "a" * (mebi - 1) + "b",
    "wide": "é" * mebi,
    "array": list(range(10_000)),
    "objects": objects,
    "one": [{"name": "a" * (mebi - 1) + "b"}],
    "html": "<" * mebi,
    "tags": "<a>" * 300_000,
    "json": "[" + "1," * 500_000 + "1]",
    "recipients": {"to": ["é" * 200 + " <a@b.example>"] * 400, "text": "x"},
}


@pytest.mark.parametrize("opener", ["{{", "{%", "{{ ", "{% if "])
@pytest.mark.parametrize("count", [2, 4_000, 20_000])
def test_openers_that_are_never_closed(engine, opener, count):
    """The scan refuses them before Liquid's lexer sees them."""
    assert engine.code(opener * count) in ("template_syntax", "template_too_long")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{{ a }}" * 1001, "template_limit"),
        ("{{" + " " * 60_000 + "}}", "template_syntax"),
        ("{% if" + " " * 60_000 + "%}", "template_syntax"),
        ("{% #" + "\n" * 60_000 + "# %}", "template_syntax"),
        ("{% raw %}" * 900 + "x" * 50_000, "template_syntax"),
        ("{% doc %}" * 900, "template_syntax"),
        ("{{ a" + "['x'b" * 9_000 + " }}", "template_syntax"),
        ("{{ a" + "['x" * 20_000 + " }}", "template_syntax"),
        ("{{ a if " + "(" * 60_000 + " }}", "template_limit"),
        ("{{ a if " + "(" * 60 + "a" + ")" * 60 + " }}", "template_limit"),
        ("{{ a if " + "(a)==" * 5_000 + "a }}", "template_limit"),
        ("{{ " + "a[" * 20_000 + "}}", "template_limit"),
        ("{{ a if " + " == ".join("a" * 200) + " }}", "template_limit"),
        ("{{ a if " + "not " * 200 + "a }}", "template_limit"),
        ("{{ a if " + " and ".join("a" * 200) + " }}", "template_limit"),
        ("{% if a %}" * 11 + "{% endif %}" * 11, "template_limit"),
        ("{{ a" + "x" * 65_536 + " }}", "template_too_long"),
        ("{{ a }}" + "한" * 22_000, "template_too_long"),
        ("{{ " + "1" * 60_000 + " }}", "template_syntax"),
    ],
)
def test_texts_that_are_too_much_to_parse(engine, text, code):
    """What would cost a backtracking lexer or a recursive parser too much is refused by one linear scan."""
    assert engine.code(text) == code


def test_the_scan_is_linear():
    """A template of full length with a thousand tags passes it."""
    check_template(("{{ a.b | upcase }}" + "x" * 46) * 1000)


def test_tags_are_counted_without_parsing():
    """Everywhere in a value, in keys not, closed or not."""
    assert count_tags({"a": ["{{ x }}{% if", {"b": "{{"}], "{{": 5, "c": None}) == 3


def test_a_literal_has_no_limit(engine):
    """Only templates are measured."""
    assert engine.value("x" * 100_000) == "x" * 100_000


loop = "{% for i in array %}"
doubled = "{% assign x = one %}" + "{% assign x = x | concat: x %}" * 13


@pytest.mark.parametrize(
    "template",
    [
        "{{ kb" + " | replace: 'a', kb" * 4 + " }}",
        "{{ objects" + " | uniq" * 100 + " }}",
        "{{ (1..5000000) | size }}",
        "{{ (1..10001) }}",
        "{% assign x = 9223372036854775807 %}{{ 'a' | append: big }}",
        "{{ big" + " | upcase" * 11 + " }}",
        "{{ big" + " | size | default: big" * 11 + " }}",
        "{{ wide" + " | upcase | downcase" * 5 + " }}",
        "{{ big | url_encode | url_encode | size }}",
        "{{ wide | url_encode | size }}",
        "{{ big | escape | append: 'x' }}",
        "{{ big | split: '' }}",
        "{{ big | split: 'a' }}",
        "{{ array | join: big }}",
        "{{ array | concat: array }}",
        "{{ json | parse_json }}",
        "{{ tags | strip_html }}",
        "{{ big | regex: '" + "(a?){50}" * 15 + "b' }}",
        "{{ recipients | mime }}",
        doubled + "{{ x | where: 'name', big }}",
        doubled + "{{ x | sort: 'name' }}",
        doubled + "{{ x | map: 'name' | join }}",
        doubled + "{{ x | uniq }}",
        doubled + "{{ x | json }}",
        doubled + "{% for y in x %}{% capture z %}{{ y.name }}{% endcapture %}{% endfor %}",
        loop + "{% for j in array %}x{% endfor %}{% endfor %}",
        loop + "{{ i }}{{ i }}" * 400 + "{% endfor %}",
        (loop + "{% endfor %}") * 300,
        loop + "{% if array contains i %}{% endif %}{% endfor %}",
        loop + "{% if big == other %}{% endif %}{% endfor %}" * 1 + (loop + "{% endfor %}") * 60,
        loop + "{% case big %}{% when other, other, other, other, other %}{% endcase %}{% endfor %}",
        "{{ big }}x",
        "{% assign a = big %}{% assign b = other %}",
        "{% for i in (1..10001) %}{% endfor %}",
        {"$map": "{{ array }}", "value": {"$map": "{{ array }}", "as": "j", "value": 1}},
        {"$map": "{{ array }}", "value": ["{{ item }}"] * 20},
        {"$json": ["{{ big }}"] * 3},
        [{"$json": "{{ big }}"}] * 20,
        [{"$json": {"$json": {"$json": "{{ big }}"}}}] * 4,
        ["{{ big | upcase }}"] * 20,
    ],
)
def test_renderings_that_are_too_much(engine, template):
    """Each ends in an error before the budget is spent; nothing is cut."""
    assert engine.code(template, scope) == "template_limit"


def test_numbers_cannot_grow(engine):
    """Squaring a number again and again ends at ± 2⁶³."""
    template = "{% assign x = 3 %}" + "{% assign x = x | times: x %}" * 22 + "{{ x }}"
    assert engine.code(template) == "filter_error"


def test_a_when_that_matches_twice_renders_once(engine):
    """In Liquid each match renders the block again, so that nesting multiplies without end."""
    template = ("{% case 1 %}{% when " + ",".join("1" * 500) + " %}") * 9 + "x" + "{% endcase %}" * 9
    assert engine.value(template) == "x"


def test_what_is_within_the_limits(engine):
    """The limits themselves are usable."""
    assert engine.value("{% for i in array %}x{% endfor %}", scope) == "x" * 10_000
    assert len(engine.value("{% for o in objects %}{{ o.id }} {{ o.name }}\n{% endfor %}", scope)) > 100_000
    assert engine.value("{{ (1..10000) | size }}") == 10_000
    assert (
        len(engine.value({"$map": "{{ objects }}", "value": {"a": "{{ item.id }}", "b": "{{ item.name }}"}}, scope))
        == 10_000
    )
    assert engine.value("{{ big }}", scope) == scope["big"]
    assert engine.value("{{ big" + " | append: ''" * 8 + " | size }}", scope) == mebi
    assert engine.value("{{ objects | sort: 'name' | uniq: 'id' | map: 'id' | size }}", scope) == 10_000
    assert engine.value("{{ html | strip_html | size }}", scope | {"html": "<" * 30_000}) == 30_000


@pytest.mark.parametrize("template", ["{{ x }}", "{{ x | first }}", "{{ x | str }}"])
def test_values_that_are_too_large(engine, template):
    """More than 10,000 elements or 1 MiB of text is an error even where nothing happens to it."""
    assert engine.code(template, {"x": [0] * 10_001}) == "template_limit"
    assert engine.code(template, {"x": "a" * (mebi + 1)}) == "template_limit"


def nested(depth):
    """An array in an array in an array …."""
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("template", ["{{ x | json }}", "a{{ x }}", "{% if x == y %}{% endif %}", "{{ x | uniq }}"])
def test_data_that_is_nested_too_deeply(engine, template):
    """Recursion ends in an error of ours."""
    assert engine.code(template, {"x": nested(5_000), "y": nested(5_001)}) == "template_limit"


def test_values_that_are_nested_too_deeply(engine):
    """The document itself has a depth, and operators another."""
    assert engine.code(nested(200)) == "template_limit"
    deep: object = 1
    for _ in range(20):
        deep = {"$json": deep}
    assert engine.value(deep)
    assert engine.code({"$json": deep}) == "template_limit"


@pytest.mark.parametrize("condition", ["(" * 100 + "a" + ")" * 100, "not " * 500 + "a", " and ".join(["a"] * 400)])
def test_conditions_that_are_nested_too_deeply(engine, condition):
    """The same for conditions."""
    assert engine.condition_code(condition) == "template_limit"


def test_a_budget_is_for_one_rendering():
    """A template starts anew each time, and all strings of a value share one budget."""
    template = compile_condition("{{ big | upcase | size | present }}")
    for _ in range(20):
        assert template.evaluate(scope) is True
    work = Work()
    compile_value(["{{ kb | size }}"] * 10).root.evaluate(Rendering(scope, work))
    assert budget - work.left > 10 * limits.filter_units


def test_measuring_stops_where_the_limit_is():
    """A deep value costs no more to refuse than the limit allows."""
    work = Work()
    with pytest.raises(TemplateError):
        work.charge_deep(json.loads(scope["json"]))
    assert work.left < limits.element_units
