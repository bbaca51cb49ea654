"""The YAML profile: plain JSON values, no surprises."""

import pytest

from taske_ray.catalog.document import parse_yaml
from taske_ray.errors import Invalid


def test_only_json_comes_out() -> None:
    """Booleans are `true` and `false`, numbers are decimal, and dates, times and `on` are text."""
    text = """
        a: [true, false, yes, on, No, TRUE]
        b: [1, -2, 1.5, 1e3, 0, 017, 0x1F, 1_000, 12:30, .inf, .nan]
        c: [2026-01-05, 2026-01-05T00:00:00Z, ~, null, "1"]
    """
    assert parse_yaml(text) == {
        "a": [True, False, "yes", "on", "No", "TRUE"],
        "b": [1, -2, 1.5, "1e3", 0, "017", "0x1F", "1_000", "12:30", ".inf", ".nan"],
        "c": ["2026-01-05", "2026-01-05T00:00:00Z", None, None, "1"],
    }


def test_anchors_and_merges() -> None:
    """Anchors and `<<` work, and what is written beside a merge wins."""
    assert parse_yaml("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}") == {"a": {"p": 1, "q": 2}, "b": {"p": 1, "q": 3}}


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2",
        "a: {b: 1, b: 2}",
        "- a",
        "just text",
        "",
        "a: 1\n---\nb: 2",
        "a: [",
        "1: a",
        "true: a",
        "a: !!python/object/apply:os.system [ls]",
        "a: !!binary AAAA",
        "? [a]\n: b",
        "a: &a [*a]",
        "a: &a "
        "[x, x, x, x, x, x, x, x, x, x]"
        + "".join(
            f"\n{name}: &{name} [{', '.join(['*' + before] * 10)}]"
            for before, name in zip("abcdef", "bcdefg", strict=True)
        ),
        "a: " + "x" * (1024 * 1024),
        "[" * 5000,
    ],
    ids=range(16),
)
def test_what_is_no_document(text: str) -> None:
    """A key twice, several documents, tags, keys that are no text, loops and bombs are refused."""
    with pytest.raises(Invalid):
        parse_yaml(text)
