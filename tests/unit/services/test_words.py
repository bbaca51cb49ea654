"""Labels in a language, and addresses in one spelling."""

import pytest

from taske_ray.errors import Invalid
from taske_ray.services.addresses import canonical_address
from taske_ray.services.labels import localised, localised_schema, preferred


def test_labels_fall_back_to_english():
    """A label is shown in the wanted language, else in English, else in any; plain text is the same in all."""
    assert localised({"ko": "메일", "en": "Mail"}, "ko") == "메일"
    assert localised({"ko": "메일", "en": "Mail"}, "ja") == "Mail"
    assert localised({"ko": "메일"}, "ja") == "메일"
    assert localised("Mail", "ko") == "Mail"
    assert localised(None, "ko") is None


@pytest.mark.parametrize(
    ("accepted", "locale"),
    [
        ("ko-KR,ko;q=0.9,en;q=0.8", "ko"),
        ("en;q=0.3, ja;q=0.9", "ja"),
        ("fr, de;q=0.5", None),
        ("", None),
        ("ko;q=0, ja;q=0.1", "ja"),
        ("eng", None),
        ("*", None),
        ("EN-us", "en"),
        ("ja;q=x", "ja"),
    ],
)
def test_the_best_liked_language_wins(accepted, locale):
    """Accept-Language is read by weight, then by order; languages that the catalog lacks or refuses are passed over."""
    assert preferred(accepted) == locale


def test_schemas_carry_titles_in_the_language():
    """`x-title` replaces `title` at every depth, and is left alone where it lacks the language."""
    schema = {"properties": {"to": {"title": "To", "x-title": {"ko": "받는 사람"}, "items": {"title": "Address"}}}}
    assert localised_schema(schema, "ko")["properties"]["to"]["title"] == "받는 사람"
    assert localised_schema(schema, "ja")["properties"]["to"]["title"] == "To"
    assert localised_schema(schema, "ko")["properties"]["to"]["items"]["title"] == "Address"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" Mina@Example.COM ", "mina@example.com"),
        ("mina@예시.한국", "mina@xn--vv4b11d.xn--3e0b707e"),
        ("a.b+c@x.example", "a.b+c@x.example"),
        ("MÜLLER@faß.de", "müller@xn--fa-hia.de"),
        ("a@b.example.", "a@b.example"),
        ("u\u0308@b.example", "\u00fc@b.example"),
    ],
)
def test_one_spelling(text, address):
    """Case, space and Unicode domains have one canonical form."""
    assert canonical_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "mina", "a@b@c", "a b@c.d", "a@", "@b", "a@b\n.c", "a@b.c\n", "a@" + "b" * 300, "a\u202eb@c.d"),
        *("a\u200b@b.c", "a\0@b.c", "x" * 65 + "@b.c", "x" * 64 + "@" + "b." * 95 + "c", "a@b..c", "a@1.2.3.4"),
        "a@[::1]",
    ],
)
def test_what_is_no_address(text):
    """Control characters, line breaks, missing parts and excess length are refused at /email."""
    with pytest.raises(Invalid) as refused:
        canonical_address(text)
    assert refused.value.errors[0].pointer == "/email"
