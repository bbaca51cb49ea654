"""Filters: table 2.6 of the format."""

import hashlib

import pytest

from taske_ray.core.template.filters import filters

scope = {
    "rows": [{"id": 2, "n": {"x": "b"}}, {"id": 1, "n": {"x": "a"}}, {"n": None}],
    "o": {"b": 1, "a": "x"},
    "mixed": [1, "a"],
    "nums": [3, 1, None, 2.5],
    "dup": [1, 1.0, True, "1", {"a": 1, "b": 2}, {"b": 2, "a": 1}, None, None],
    "utf": "é한",
    "null_": None,
    "t": True,
}

standard = (
    "append prepend capitalize downcase upcase strip lstrip rstrip squish split slice truncate truncatewords remove "
    "remove_first remove_last replace_first replace_last strip_html strip_newlines newline_to_br escape url_encode "
    "url_decode base64_encode base64_decode base64_url_safe_encode base64_url_safe_decode abs at_least at_most ceil "
    "floor round plus minus times divided_by modulo compact concat find find_index first has last reject reverse size "
    "sort_natural sum where default"
)
own = (
    "int float str json parse_json quote_literal b64url sha256 regex matches one_of present dig map join sort uniq "
    "keys entries merge replace date date_add parse_date epoch epoch_ms mime"
)


def test_exactly_these_filters_exist():
    """The table names them all."""
    assert set(filters) == set(f"{standard} {own}".split())


@pytest.mark.parametrize("name", ["safe", "escapejs", "escape_once", "nope", "json_parse"])
def test_any_other_name_is_unknown(engine, name):
    """Found when compiled, also in tags and ternaries."""
    assert engine.code(f"{{{{ 'x' | {name} }}}}") == "unknown_filter"
    assert engine.code(f"{{% assign a = 'x' | {name} %}}") == "unknown_filter"
    assert engine.code(f"{{{{ 'x' | upcase if true else 'y' | {name} }}}}") == "unknown_filter"
    assert engine.code(f"{{{{ 'x' if true else 'y' || {name} }}}}") == "unknown_filter"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("'a' | append: 5", "a5"),
        ("t | append: null_", "true"),
        ("o | append: ''", '{"b":1,"a":"x"}'),
        ("null_ | append: 'x'", "x"),
        ("'a' | prepend: 1.5", "1.5a"),
        ("'hELLO wORLD' | capitalize", "Hello world"),
        ("'É' | downcase", "é"),
        ("t | upcase", "TRUE"),
        ("' a ' | strip", "a"),
        ("' a ' | lstrip", "a "),
        ("' a ' | rstrip", " a"),
        ("'  a \n\t b ' | squish", "a b"),
        ("'a,b,,c' | split: ','", ["a", "b", "", "c"]),
        ("'' | split: ','", []),
        ("'ab' | split: ''", ["a", "b"]),
        ("' a  b ' | split: ' '", ["a", "b"]),
        ("'hello' | slice: 1, 3", "ell"),
        ("'hello' | slice: -3, 2", "ll"),
        ("'hello' | slice: 1", "e"),
        ("'hello' | slice: 9", ""),
        ("nums | slice: 1, 2", [1, None]),
        ("'hello world' | truncate: 8", "hello..."),
        ("'hello' | truncate: 5", "hello"),
        ("'hello world' | truncate: 5, ''", "hello"),
        ("'a b c d' | truncatewords: 2", "a b..."),
        ("'a b' | truncatewords: 2", "a b"),
        ("'aXbX' | remove: 'X'", "ab"),
        ("'aXbX' | remove_first: 'X'", "abX"),
        ("'aXbX' | remove_last: 'X'", "aXb"),
        ("'aXbX' | replace: 'X', 1", "a1b1"),
        ("'aXbX' | replace_first: 'X', 'y'", "aybX"),
        ("'aXbX' | replace_last: 'X', 'y'", "aXby"),
        ("'<p>a <b class=\"x\">b</b></p><!-- c --><script>if (1 < 2) {}</script>d < e' | strip_html", "a bd < e"),
        ("'a\nb\r\nc' | strip_newlines", "abc"),
        ("'a\nb' | newline_to_br", "a<br />\nb"),
        ("'<a&\"b>' | escape", "&lt;a&amp;&quot;b&gt;"),
        ("'a b/é' | url_encode", "a+b%2F%C3%A9"),
        ("'a+b%2F%C3%A9' | url_decode", "a b/é"),
        ("utf | base64_encode", "w6ntlZw="),
        ("'w6ntlZw=' | base64_decode", "é한"),
        ("'w6ntlZw' | base64_decode", "é한"),
        ("'>>>???' | base64_url_safe_encode", "Pj4-Pz8_"),
        ("'Pj4-Pz8_' | base64_url_safe_decode", ">>>???"),
        ("utf | b64url", "w6ntlZw"),
        ("'' | sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("o | sha256", hashlib.sha256(b'{"a":"x","b":1}').hexdigest()),
        ('"it\'s" | quote_literal', r"'it\'s'"),
        ("'a\\b' | quote_literal", r"'a\\b'"),
        ("'say \"x\"' | quote_literal: 'double'", r'"say \"x\""'),
        ("\"it's\" | quote_literal: 'odata'", "'it''s'"),
        ("5 | quote_literal", "'5'"),
    ],
)
def test_text_filters(engine, expression, expected):
    """Input and arguments are text by rule 2.1."""
    assert engine.value(f"{{{{ {expression} }}}}", scope) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("-5 | abs", 5),
        ("'1.5' | abs", 1.5),
        ("3 | at_least: 5", 5),
        ("3 | at_most: '2'", 2),
        ("1.2 | ceil", 2),
        ("1.8 | floor", 1),
        ("1.256 | round: 2", 1.26),
        ("1.6 | round", 2),
        ("1 | plus: 2", 3),
        ("0.1 | plus: 0.2", 0.3),
        ("'1' | plus: '2'", 3),
        ("1 | minus: 0.5", 0.5),
        ("3 | times: 4", 12),
        ("7 | divided_by: 2", 3),
        ("7 | divided_by: 2.0", 3.5),
        ("7 | modulo: 3", 1),
        ("-7 | modulo: 3", 2),
        ("-7.5 | modulo: 2", 0.5),
        ("'12' | int", 12),
        ("3.0 | int", 3),
        ("3.9 | int", 3),
        ("'-3.9' | int", -3),
        ("'1e3' | int", 1000),
        ("5 | float", 5.0),
        ("'2.5' | float", 2.5),
        ("null_ | int", None),
        ("null_ | float", None),
        ("'[1, 2]' | parse_json | sum", 3),
        ("rows | find: 'id', 1 | dig: 'id'", 1),
    ],
)
def test_arithmetic(engine, expression, expected):
    """Numbers and numeric text."""
    result = engine.value(f"{{{{ {expression} }}}}", scope)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize(
    "expression",
    [
        "'12x' | int",
        "'' | int",
        "' 1' | int",
        "'1_0' | int",
        "'nan' | float",
        "'inf' | float",
        "'٣' | int",
        "t | int",
        "o | int",
        "'1234567890123456789' | int",
        "1234567890123456789 | int",
        "'1e999' | float",
        "'x' | plus: 1",
        "1 | plus: 'x'",
        "null_ | plus: 1",
        "1 | plus: null_",
        "t | times: 2",
        "o | abs",
        "1 | divided_by: 0",
        "1.5 | modulo: 0",
        "9223372036854775807 | plus: 2",
        "9223372036854775807 | times: 2",
        "1.5 | round: 'x'",
        "mixed | sum",
        "nums | sum",
        "5 | sum",
    ],
)
def test_arithmetic_refuses_the_rest(engine, expression):
    """Nothing becomes 0 silently, and no result leaves ± 2⁶³."""
    assert engine.code(f"{{{{ {expression} }}}}", scope) == "filter_error"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rows | map: 'id'", [2, 1, None]),
        ("rows | map: 'n.x'", ["b", "a", None]),
        ("rows | sort: 'id' | map: 'id'", [1, 2, None]),
        ("rows | sort: 'n.x' | map: 'id'", [1, 2, None]),
        ("nums | sort", [1, 2.5, 3, None]),
        ("'b,C,a' | split: ',' | sort", ["C", "a", "b"]),
        ("'b,C,a' | split: ',' | sort_natural", ["a", "b", "C"]),
        ("dup | uniq", [1, True, "1", {"a": 1, "b": 2}, None]),
        ("rows | uniq: 'gone' | size", 1),
        ("nums | join: '-'", "3-1--2.5"),
        ("mixed | join", "1 a"),
        ("dup | slice: 4, 1 | join", '{"a":1,"b":2}'),
        ("nums | compact", [3, 1, 2.5]),
        ("rows | compact: 'id' | size", 2),
        ("mixed | concat: nums", [1, "a", 3, 1, None, 2.5]),
        ("(1..2) | concat: (3..4)", [1, 2, 3, 4]),
        ("mixed | reverse", ["a", 1]),
        ("mixed | first", 1),
        ("mixed | last", "a"),
        ("'abc' | first", None),
        ("o | first", ["b", 1]),
        ("'' | split: ',' | last", None),
        ("rows | where: 'id' | size", 2),
        ("rows | where: 'id', 1 | size", 1),
        ("rows | where: 'n.x', 'a' | map: 'id'", [1]),
        ("rows | reject: 'id', 1 | size", 2),
        ("rows | reject: 'id' | size", 1),
        ("rows | find_index: 'id', 1", 1),
        ("rows | find_index: 'id', 9", None),
        ("rows | has: 'id', 2", True),
        ("rows | has: 'gone'", False),
        ("rows | slice: 0, 2 | sum: 'id'", 3),
        ("'hello' | size", 5),
        ("o | size", 2),
        ("5 | size", 0),
        ("o | keys", ["b", "a"]),
        ("o | entries", [{"key": "b", "value": 1}, {"key": "a", "value": "x"}]),
        ("o | merge: o | keys", ["b", "a"]),
        ("o | dig: 'a'", "x"),
        ("rows | dig: '[0].n.x'", "b"),
        ("rows | dig: '$[0].n.x'", "b"),
        ("o | dig: '$.a'", "x"),
        ("o | dig: '$'", {"b": 1, "a": "x"}),
        ("rows | dig: '/0/n/x'", "b"),
        ("rows | dig: '/9/n'", None),
        ("rows | dig: '/-1/n'", None),
        ("rows | dig: '[0].gone.deep'", None),
        ("o | dig: ''", {"b": 1, "a": "x"}),
        ("null_ | dig: 'a'", None),
        ("o | dig: 'size'", None),
    ],
)
def test_arrays_and_objects(engine, expression, expected):
    """Elements are compared as JSON; absent members are null."""
    assert engine.value(f"{{{{ {expression} }}}}", scope) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "'a' | map: 'x'",
        "o | join: ','",
        "'a' | sort",
        "mixed | sort",
        "rows | sort",
        "5 | uniq",
        "mixed | keys",
        "'a' | entries",
        "o | merge: mixed",
        "mixed | merge: o",
        "mixed | concat: 'a'",
        "o | dig: 5",
        "o | dig: 'a..b'",
        "o | dig: 'a[x]'",
    ],
)
def test_arrays_and_objects_refuse_the_rest(engine, expression):
    """The table names the error of each."""
    assert engine.code(f"{{{{ {expression} }}}}", scope) == "filter_error"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("5 | str", "5"),
        ("t | str", "true"),
        ("o | str", '{"b":1,"a":"x"}'),
        ("null_ | str", None),
        ("utf | json", '"é한"'),
        ("o | json", '{"b":1,"a":"x"}'),
        ("null_ | json", "null"),
        ("'{\"a\":[1,2.5,null]}' | parse_json", {"a": [1, 2.5, None]}),
        ("null_ | parse_json", None),
        ("'abc123' | regex: '[0-9]+'", "123"),
        ("'k=v' | regex: '(?P<key>\\w)=(\\w)', 2", "v"),
        ("'k=v' | regex: '(?P<key>\\w)=(\\w)', 'key'", "k"),
        ("'abc' | regex: 'x'", None),
        ("null_ | regex: 'x'", None),
        ("123 | matches: '^1'", True),
        ("gone | matches: 'x'", False),
        ("null_ | matches: '^$'", True),
        ("'a' | one_of: 'b', 'a'", True),
        ("1 | one_of: mixed", True),
        ("'1' | one_of: 1, 2", False),
        ("t | one_of: 1", False),
        ("gone | one_of: nil", False),
        ("null_ | one_of: nil", True),
        ("gone | present", False),
        ("null_ | present", False),
        ("false | present", False),
        ("' ' | present", False),
        ("'' | split: ',' | present", False),
        ("0 | present", True),
        ("mixed | present", True),
    ],
)
def test_values(engine, expression, expected):
    """Conversions, tests and patterns."""
    assert engine.value(f"{{{{ {expression} }}}}", scope) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "'{' | parse_json",
        "'NaN' | parse_json",
        "'[1e999]' | parse_json",
        "5 | parse_json",
        "5 | b64url",
        "5 | regex: 'x'",
        "'a' | regex: '(a)', 2",
        "'a' | regex: '(a)', 'name'",
        "'a' | regex: '(a)', -1",
        "'****' | base64_decode",
        "'/w==' | base64_decode",
        "nul | quote_literal",
    ],
)
def test_values_refuse_the_rest(engine, expression):
    """Every error is `filter_error`."""
    assert engine.code(f"{{{{ {expression} }}}}", {**scope, "nul": "a\0b"}) == "filter_error"


@pytest.mark.parametrize(
    "expression",
    [
        "'a' | regex: '('",
        "'a' | matches: '(?=x)'",
        "'a' | matches: '(a)\\1'",
        "'a' | quote_literal: 'xml'",
        "'2026-01-01' | date: '%Q'",
        "'2026-01-01' | date_add: 'tomorrow'",
        "'x' | parse_date: '%s %V'",
        "'a' | upcase: 1",
        "'a' | append",
        "'a' | append: 'b', 'c'",
        "'a' | default: 'b', allow_nil: true",
        "'a' | replace: old: 'a', new: 'b'",
    ],
)
def test_constants_are_checked_when_compiled(engine, expression):
    """A bad pattern, style, format, duration or number of arguments is no surprise at night."""
    assert engine.code(f"{{% if false %}}{{{{ {expression} }}}}{{% endif %}}") == "filter_error"


@pytest.mark.parametrize("name", ["int", "float", "str", "parse_json", "b64url", "sha256", "epoch", "epoch_ms"])
def test_filters_that_pass(engine, name):
    """A missing or null input is handed on, so that `default` can follow."""
    assert engine.value(f"{{{{ gone | {name} | default: 'd' }}}}") == "d"
    assert engine.value(f"{{{{ x | {name} }}}}", {"x": None}) is None
    assert engine.code(f"{{{{ gone | {name} }}}}", strict=True) == "template_undefined"


def test_an_error_names_the_filter_and_not_the_value(engine):
    """The value may be a secret."""
    with pytest.raises(Exception, match=r"^plus: ") as caught:
        engine.value("{{ x | plus: 1 }}", {"x": "hunter2"})
    assert "hunter2" not in str(caught.value)
