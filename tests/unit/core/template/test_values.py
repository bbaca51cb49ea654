"""Texts and values: rules 2.1 and 2.3 of the format."""

import pytest

from taske_ray.core.template import compile_text, compile_value, contains_template

scope = {
    "text": "hello",
    "number": 5,
    "float": 1.5,
    "yes": True,
    "no": False,
    "nothing": None,
    "list": [1, "a", None],
    "object": {"b": 1, "a": {"c": [{"d": "deep"}]}},
    "void": {"list": [], "text": "", "object": {}},
}


@pytest.mark.parametrize("literal", ["", "plain", "}} %}", "{ {", "{", "a}}b", "line\n", "{#x#}"])
def test_a_text_without_opener_is_a_literal(engine, literal):
    """Without `{{` and `{%` nothing is parsed."""
    assert engine.value(literal) == literal
    assert compile_text(literal).is_constant


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ number }}", 5),
        ("{{- number -}}", 5),
        ("{{number}}", 5),
        ("{{ float }}", 1.5),
        ("{{ yes }}", True),
        ("{{ nothing }}", None),
        ("{{ list }}", [1, "a", None]),
        ("{{ object.a.c[0].d }}", "deep"),
        ("{{ object['a']['c'].first.d }}", "deep"),
        ("{{ object.a.c[-1].d }}", "deep"),
        ("{{ list.size }}", 3),
        ("{{ text.size }}", 5),
        ("{{ object.size }}", 2),
        ("{{ (1..3) }}", [1, 2, 3]),
        ("{{ (3..1) }}", []),
        ("{{ 'a' }}", "a"),
        ("{{ true }}", True),
        ("{{ nil }}", None),
        ("{{ number if yes else text }}", 5),
        ("{{ number if no else text }}", "hello"),
        ("{{ number if no }}", None),
        ("{{ text | upcase if yes else number || append: '!' }}", "HELLO!"),
    ],
)
def test_exactly_one_output_keeps_its_type(engine, template, expected):
    """A single `{{ … }}` with nothing around it is the value itself."""
    result = engine.value(template, scope)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (" {{ number }}", " 5"),
        ("{{ number }}\n", "5\n"),
        (" {{- number -}} ", "5"),
        ("{{ number }}{{ yes }}", "5true"),
        ("x{{ text }}", "xhello"),
        ("x{{ nothing }}", "x"),
        ("x{{ no }}", "xfalse"),
        ("x{{ float }}", "x1.5"),
        ("x{{ list }}", 'x[1,"a",null]'),
        ("x{{ object.a }}", 'x{"c":[{"d":"deep"}]}'),
        ("x{{ (1..3) }}", "x[1,2,3]"),
        ("x{{ '한글' }}", "x한글"),
        ("{% if yes %}{{ number }}{% endif %}", "5"),
        ("{% for x in list %}{{ forloop.index }}{{ x }},{% endfor %}", "11,2a,3,"),
        ("{% for x in void.list %}a{% else %}none{% endfor %}", "none"),
        ("{% for p in object %}{{ p[0] }}={{ p[1] }};{% endfor %}", 'b=1;a={"c":[{"d":"deep"}]};'),
        ("{% for x in list reversed limit: 2 %}{{ x }}{% endfor %}", "a1"),
        ("{% for x in (1..9) %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}", "123"),
        ("{% for x in (1..3) %}{% if x == 2 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "13"),
        ("{% unless no %}a{% endunless %}", "a"),
        ("{% case number %}{% when 5, 5 %}five{% when 6 %}six{% else %}other{% endcase %}", "five"),
        ("{% case text %}{% when 'x' or 'y' %}xy{% else %}other{% endcase %}", "other"),
        ("{% assign y = number | plus: 1 %}{{ y }}", "6"),
        ("{% capture y %}<{{ text }}>{% endcapture %}{{ y }}", "<hello>"),
        ("{% comment %}{{ a and b or c }}{% endcomment %}x", "x"),
        ("{% # a note %}x", "x"),
        ("{% raw %}{{ x }}{% endraw %}", "{{ x }}"),
        ("{%- if yes -%} a {%- endif -%}", "a"),
    ],
)
def test_everything_else_is_text(engine, template, expected):
    """Values inside longer text are text by rule 2.1."""
    assert engine.value(template, scope) == expected


def test_numbers_are_written_as_in_json(engine):
    """No Python notation shows up."""
    assert engine.value("x{{ a }} {{ b }}", {"a": 1e22, "b": [1.0, True, None]}) == "x1e+22 [1.0,true,null]"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_only_json_comes_out(engine, value):
    """A number that is not finite and a value that JSON does not know are errors."""
    assert engine.code("{{ x }}", {"x": value}) == "template_type"
    assert engine.code("a{{ x }}", {"x": value}) == "template_type"


@pytest.mark.parametrize("template", ["{{ empty }}", "{{ blank }}"])
def test_the_literals_empty_and_blank_are_no_values(engine, template):
    """They exist only to compare with."""
    assert engine.code(template) == "template_type"


def test_a_result_is_never_parsed_again(engine):
    """A template that arrives as data stays text, in values, texts and operators."""
    evil = "{{ secret }}{% for x in (1..9) %}"
    data = {"x": evil, "secret": "s"}
    assert engine.value("{{ x }}", data) == evil
    assert engine.value("a{{ x }}", data) == "a" + evil
    assert engine.value({"$map": ["{{ x }}"], "value": "{{ item }}"}, data) == [evil]
    assert engine.value("{% assign y = x | append: '!' %}{{ y }}", data) == evil + "!"


@pytest.mark.parametrize("name", ["now", "today"])
def test_there_is_no_clock(engine, name):
    """Liquid's own `now` and `today` are gone; a `now` in scope is that one."""
    assert engine.value(f"{{{{ {name} }}}}") is None
    assert engine.value(f"x{{{{ {name} }}}}", {name: "fixed"}) == "xfixed"


@pytest.mark.parametrize(
    "template",
    [
        "{{",
        "{{ a",
        "{{ a }",
        "{% if a %}",
        "{% endif %}",
        "{{ a b }}",
        "{{ }}",
        "{{ a | }}",
        "{{ a.'b' }}",
        "{{ params.limit }}",
        "{{ [a] }}",
        "{{ a[ }}",
        "{% if %}x{% endif %}",
        "{% include 'x' %}",
        "{% render 'x' %}",
        "{% cycle 1, 2 %}",
        "{% increment x %}",
        "{% tablerow x in y %}{% endtablerow %}",
        "{% echo x %}",
        "{% liquid assign x = 1 %}",
        "{% doc %}{% enddoc %}",
        "{% ifchanged %}{% endifchanged %}",
        "{% break %}",
        "{% if true %}{% continue %}{% endif %}",
        "{% for x in y %}{% else %}{% break %}{% endfor %}",
        "{% raw %}",
        "{{ '}}' }}",
        "{{ '{{' }}",
        "{% foo %}",
        "{% %}",
    ],
)
def test_what_is_no_template(engine, template):
    """Syntax errors, and every tag that the format does not have, are refused when compiled."""
    assert engine.code(template) == "template_syntax"


def test_reserved_words_need_brackets(engine):
    """`params['limit']` reads what `params.limit` cannot."""
    assert engine.value("{{ params['limit'] }}", {"params": {"limit": 3}}) == 3


@pytest.mark.parametrize(
    ("template", "module", "task"),
    [
        ("{{ gone }}", None, "template_undefined"),
        ("{{ object.gone.further }}", None, "template_undefined"),
        ("{{ list[7] }}", None, "template_undefined"),
        ("{{ text.gone }}", None, "template_undefined"),
        ("{{ nothing.gone }}", None, "template_undefined"),
        ("{{ object[0] }}", None, "template_undefined"),
        ("{{ gone | int }}", None, "template_undefined"),
        ("{{ object.first }}", None, "template_undefined"),
        ("{{ gone | default: 'd' }}", "d", "d"),
        ("{{ gone | default: nil }}", None, None),
        ("{{ gone | int | default: 3 }}", 3, 3),
        ("{{ nothing }}", None, None),
        ("{{ 1 if gone else 2 }}", 2, 2),
        ("{{ gone if yes }}", None, "template_undefined"),
        ("a{{ gone }}", "template_undefined", "template_undefined"),
        ("{% for x in gone %}{% endfor %}", "template_undefined", "template_undefined"),
        ("{{ gone | upcase }}", "template_undefined", "template_undefined"),
        ("{{ text | append: gone }}", "template_undefined", "template_undefined"),
        ("{{ text | default: gone }}", "template_undefined", "template_undefined"),
        ("{{ (1..gone) }}", "template_undefined", "template_undefined"),
        ("{% for x in list limit: gone %}{% endfor %}", "template_undefined", "template_undefined"),
        ("{% assign y = gone %}{{ y }}", "template_undefined", "template_undefined"),
        ("{% assign y = gone %}{% if y.z %}a{% else %}b{% endif %}", "b", "b"),
        ("{% if gone %}a{% else %}b{% endif %}", "b", "b"),
        ("{% if gone == nil %}a{% endif %}", "a", "a"),
        ("{% unless gone %}a{% endunless %}", "a", "a"),
        ("{% case gone %}{% when nil %}a{% endcase %}", "a", "a"),
    ],
)
def test_missing_values(engine, template, module, task):
    """Table 2.3, for rows of a module and for a task's parameters."""
    for strict, expected in ((False, module), (True, task)):
        if expected == "template_undefined":
            assert engine.code(template, scope, strict=strict) == expected
        else:
            assert engine.value(template, scope, strict=strict) == expected


@pytest.mark.parametrize("value", ["", [], {}, False, None])
def test_default_replaces_what_is_empty(engine, value):
    """`default` replaces nil, empty text, arrays and objects, and false unless told not to."""
    assert engine.value("{{ x | default: 'd' }}", {"x": value}) == "d"
    kept = engine.value("{{ x | default: '', allow_false: true }}", {"x": value})
    assert kept == (False if value is False else "")


@pytest.mark.parametrize("value", [0, 0.0, " ", [0], {"a": None}, True])
def test_default_keeps_the_rest(engine, value):
    """Zero and blank text are values."""
    assert engine.value("{{ x | default: 'd' }}", {"x": value}) == value


def test_an_error_names_the_path(engine):
    """The message says which path leads nowhere."""
    with pytest.raises(Exception, match=r"'action1\.output\['a b'\]' is missing"):
        engine.value("x{{ action1.output['a b'] }}", {"action1": {"output": {}}})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", False),
        ("{{ x }}", True),
        ({"a": ["b", {"c": "{% if x %}{% endif %}"}]}, True),
        ({"{{ a }}": 1}, True),
        ({"$json": "x"}, False),
        (5, False),
        (None, False),
    ],
)
def test_finding_templates(value, expected):
    """`contains_template` looks into everything, keys included."""
    assert contains_template(value) is expected


def test_paths_are_what_is_read_from_the_scope():
    """Global paths only: not the names that a template sets itself; computed segments are None."""
    template = compile_value(
        {
            "a": "{{ trigger.output.a[0]['b c'] }}",
            "b": "{% assign y = pre.x %}{{ y.z }}"
            "{% for i in params.list %}{{ i.a }}{{ forloop.index }}{{ q }}{% endfor %}",
            "c": {"$map": "{{ items }}", "as": "row", "value": "{{ row.id | append: conn.config.x }}"},
            "d": {"$if": "run.id == task.id", "then": "{{ a1.x | default: a2.y }}", "else": "{{ m[n.o].p }}"},
        }
    )
    assert template.paths() == {
        ("trigger", "output", "a", 0, "b c"),
        ("pre", "x"),
        ("params", "list"),
        ("q",),
        ("items",),
        ("conn", "config", "x"),
        ("run", "id"),
        ("task", "id"),
        ("a1", "x"),
        ("a2", "y"),
        ("m", None, "p"),
        ("n", "o"),
    }


def test_a_name_that_is_assigned_anywhere_is_local_everywhere(engine):
    """An assignment in a branch that is not taken cannot hide a read of the scope from `paths`."""
    template = "{% if false %}{% assign conn = 1 %}{% endif %}x{{ conn.secret | default: 'none' }}"
    assert compile_text(template).paths() == frozenset()
    assert engine.value(template, {"conn": {"secret": "s"}}) == "xnone"


def test_the_else_of_a_loop_does_not_see_its_variable():
    """Liquid renders it outside the loop, so the name is one of the scope there."""
    template = "{% for conn in none %}{{ conn.a }}{% else %}{{ conn.secret.token }}{% endfor %}"
    assert compile_text(template).paths() == {("none",), ("conn", "secret", "token")}


def test_the_result_is_built_anew():
    """Containers of a value are never shared between evaluations."""
    template = compile_value({"a": [1, {"b": "x"}]})
    first, second = template.evaluate({}), template.evaluate({})
    first["a"][1]["b"] = "changed"
    assert second == {"a": [1, {"b": "x"}]}
    assert template.is_constant
