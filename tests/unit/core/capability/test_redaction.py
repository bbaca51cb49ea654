"""Redaction by value: every spelling of a secret goes, everything else stays."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from taske_ray.core.redaction import MASK, Redactor, mask_patterns

_secret = 'p/4"s w+é'


@pytest.mark.parametrize(
    "spelling",
    [
        _secret,
        quote(_secret, safe=""),
        json.dumps(_secret)[1:-1],
        json.dumps(_secret, ensure_ascii=False)[1:-1],
        _secret.encode().hex(),
        base64.b64encode(_secret.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(_secret.encode()).decode().rstrip("="),
    ],
)
def test_spellings(spelling: str) -> None:
    """A secret is masked as it is and in each encoding in which it travels."""
    masked = Redactor([_secret]).text(f"<{spelling}>")
    assert MASK in masked
    assert spelling not in masked


@given(st.binary(max_size=5), st.text(st.characters(codec="ascii"), min_size=8, max_size=30), st.binary(max_size=5))
def test_base64_in_any_alignment(before: bytes, secret: str, after: bytes) -> None:
    """Inside a longer base64 text, no more than the edges of a secret remain."""
    text = base64.b64encode(before + secret.encode() + after).decode()
    masked = Redactor([secret]).text(text)
    assert MASK in masked
    assert len(masked) - len(MASK) <= len(text) - (len(secret) * 8 // 6 - 1)


@given(
    st.recursive(
        st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_nothing_else_changes(value: object) -> None:
    """A value without the secret stays equal, whatever its shape."""
    assume("s3cret" not in json.dumps(value))
    assert Redactor(["s3cret"]).json(value) == value
    assert Redactor([]).json(value) is value


def test_values_and_names_deep_inside() -> None:
    """Strings at any depth and names of members are masked; secrets may be nested too."""
    redactor = Redactor([{"headers": {"x": "s3cret"}}, ["other-one"], 42, "abc"])
    found = redactor.json({"a": ["x s3cret", {"s3cret": 1}], "b": "other-one", "c": "abc"})
    assert found == {"a": [f"x {MASK}", {MASK: 1}], "b": MASK, "c": "abc"}


def test_a_secret_inside_json_text_inside_json() -> None:
    """A secret that needs escaping is found in a text that is itself JSON."""
    value = {"payload": json.dumps({"key": 'a"secret'})}
    assert "secret" not in str(Redactor(['a"secret']).json(value))


def test_keys_line_by_line() -> None:
    """Each line of a PEM key is a secret of its own."""
    key = "-----BEGIN KEY-----\nMIIBAAAA\nMIICBBBB\n-----END KEY-----\n"
    assert Redactor([key]).text("unexpected MIICBBBB") == f"unexpected {MASK}"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIx.c2ln ended", f"token {MASK} ended"),
        ("Authorization: Bearer abcdefgh12345", f"Authorization: Bearer {MASK}"),
        ("key sk_live_abcdefgh1234 is bad", f"key {MASK} is bad"),
        ("key xoxb-12345678-abcdefgh", f"key {MASK}"),
        ("-----BEGIN RSA KEY-----\nabc\n-----END RSA KEY----- x", f"{MASK} x"),
        ("see https://ali:pw@api.example/x", f"see https://{MASK}@api.example/x"),
        ("the bearer of news, sk_short and me@example.com", "the bearer of news, sk_short and me@example.com"),
    ],
)
def test_what_looks_like_a_secret(text: str, masked: str) -> None:
    """Texts that leave our hands are masked by looks too, and ordinary words stay."""
    assert mask_patterns(text) == masked
