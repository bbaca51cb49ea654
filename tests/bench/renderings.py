"""Templates that cost as much as the limits allow: every filter over every kind of data, loops, tags and operators.

Used by `tests.bench.templates`, which measures processor time, and by a unit test, which counts calls.
"""

from collections.abc import Iterator
from typing import Any

from taske_ray.core.template.filters import filters

mebi = 1024 * 1024
SCOPE: dict[str, Any] = {
    "kb": "a" * 1000,
    "big": "a" * mebi,
    "other": "a" * (mebi - 1) + "b",
    "wide": "é" * mebi,
    "words": "ab " * 349_000,
    "escaped": "<&\"'>" * 200_000,
    "lines": "a\n" * 500_000,
    "percent": "%41" * 300_000,
    "html": "<" * 30_000,
    "tags": "<a>" * 30_000,
    "json": "[" + "1," * 400_000 + "1]",
    "packed": "QUJD" * 200_000,
    "array": list(range(10_000)),
    "floats": [number + 0.5 for number in range(10_000)],
    "strings": [f"name {number}" for number in range(10_000)],
    "times": [f"2026-01-02T03:04:05.{number:04}+09:00" for number in range(10_000)],
    "objects": [{"id": number, "name": f"name {number}"} for number in range(10_000)],
    "object": {f"key{number}": number for number in range(10_000)},
    "nested": [[number, [number, {"a": number}]] for number in range(3_000)],
    "number": 12_345_678_901_234_567,
    "float": 0.1,
    "time": "2026-01-02T03:04:05.123456+09:00",
    "mail": {"to": ["é" * 100 + " <a@b.example>"] * 100, "subject": "é" * 300, "text": "é" * 20_000},
}
_small = ("kb", "number", "float", "time")
_arguments: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("where", "reject", "find", "find_index", "has"), ("'id'", "'id', 1", "'a.b[0].c', 'x'")),
    **dict.fromkeys(("map", "sum", "uniq", "sort", "sort_natural", "compact"), ("'name'", "'a.b[0].c'")),
    **dict.fromkeys(("append", "prepend"), ("''", "kb", "object")),
    **dict.fromkeys(("remove", "remove_first", "remove_last"), ("'a'", "'zz'", "kb")),
    **dict.fromkeys(("replace", "replace_first", "replace_last"), ("'a', 'b'", "'a', kb", "'', 'x'", "kb, ''")),
    **dict.fromkeys(("plus", "minus", "times", "divided_by", "modulo", "at_least", "at_most"), ("1", "0.3", "number")),
    "concat": ("array",),
    "join": ("','", "kb"),
    "one_of": ("1, 2", "array", "big, other"),
    "split": ("'a'", "''", "kb"),
    "slice": ("0, 1048576", "-5"),
    "truncate": ("1048576", "5"),
    "truncatewords": ("100000", "5"),
    "quote_literal": ("'double'", "'odata'"),
    "date": ("'%Y'", f"'{'%f' * 100}'", "'%A %B %d %H %Z', 'Asia/Seoul'"),
    "date_add": ("'P1D'", "'-P1Y2M3DT4H5M6S', 'America/New_York'"),
    "parse_date": ("'%Y'", "'%Y-%m-%dT%H:%M:%S.%f%z'"),
    "regex": ("'(a?){50}b'", "'[a-z]+([0-9]*)$', 1"),
    "matches": ("'(a?){50}b'", "'(x+x+)+y'"),
    "dig": ("'a.b[0].c'", f"'{'a.' * 499}a'"),
    "merge": ("object",),
    "default": ("'x'", "object"),
    "round": ("2",),
}
LOOP = "{% for i in array %}"


def templates() -> Iterator[Any]:
    """Each of them is either refused or rendered; none may cost more than 50 ms."""
    for name in filters:
        for argument in ("", *_arguments.get(name, ())):
            call = f" | {name}: {argument}" if argument else f" | {name}"
            for value in SCOPE:
                yield from _of_filter(call, value)
    yield from _of_tags()
    yield from _of_operators()


def _of_filter(call: str, value: str) -> Iterator[str]:
    yield f"{{{{ {value}{call} }}}}"
    yield f"{{{{ {value}{call * 40} }}}}"
    yield f"{{{{ {value}{call} | size }}}}" * 60
    if value in _small:
        yield f"{LOOP}{{{{ {value}{call} }}}}{{% endfor %}}"
        yield f"{LOOP}{{{{ {value}{call * 3} }}}}{{% endfor %}}"


def _of_tags() -> Iterator[str]:
    yield f"{LOOP}{{% endfor %}}" * 300
    for inner in (
        "{{ i }}", "{{ i }}" * 20, "{{ object.key1 }}", "{{ objects[i].name }}", "{{ nested[5][1][1].a }}",
        "{{ forloop.index }}", "{% assign x = i %}", "{% assign x = objects[i] %}{{ x.name }}",
        "{% capture x %}{{ i }}{% endcapture %}", "{% if i == 5 %}a{% elsif i > 7 %}b{% else %}c{% endif %}",
        "{% unless i %}x{% endunless %}", "{% if object contains 'key5' %}x{% endif %}",
        "{% if strings contains 'name 5' %}x{% endif %}", "{% if big contains 'b' %}x{% endif %}",
        "{% if big == other %}x{% endif %}", "{% if objects == nested %}x{% endif %}",
        "{% if number < i and float > 0 and time < 'a' %}x{% endif %}", "{{ i if i > 5 else float }}",
        "{% case i %}{% when 1, 2, 3, 4, 5, 6, 7, 8, 9 %}x{% else %}y{% endcase %}",
        "{% case big %}{% when other, other %}{% endcase %}", "{% for j in (1..10) %}{{ j }}{% endfor %}",
        "{% for j in array limit: 3 offset: 5 %}{{ j }}{% endfor %}",
        "{% for j in array reversed limit: 2 %}{% break %}{% endfor %}", "{% comment %}{{ i }}{% endcomment %}",
        "text " * 10, "{{ object }}", "{{ nested }}", "{{ floats }}", "{{ float }}", "{{ time }}", "{{ kb }}",
        "{{ (1..100) }}",
    ):  # fmt: skip
        yield f"{LOOP}{inner}{{% endfor %}}"
        yield f"{LOOP}{inner}{{% endfor %}}" * 10
    for value in SCOPE:
        yield f"{{{{ {value} }}}}" * 400
        yield f"{{% for x in {value} %}}{{{{ x }}}}{{% endfor %}}"
        yield f"{{% for x in {value} %}}{{% for y in x %}}{{{{ y }}}}{{% endfor %}}{{% endfor %}}"
        yield f"{{% if {value} == {value} and {value} != other %}}x{{% endif %}}" * 200


def _of_operators() -> Iterator[Any]:
    for value in SCOPE:
        source = f"{{{{ {value} }}}}"
        yield {"$json": source}
        yield [{"$json": source}] * 50
        yield {"$map": source, "value": {"a": "{{ item }}", "b": "{{ item | str }}"}}
        yield {"$map": source, "value": {"$if": "item == 5", "then": "{{ item }}", "else": {"$omit": True}}}
        yield {"$map": source, "value": {"$map": "{{ item }}", "as": "j", "value": "{{ j }}"}}
        yield {"$merge": [source] * 50}
