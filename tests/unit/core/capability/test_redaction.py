"""Redaction: by place, then by value in every spelling, then by looks; everything else stays."""

import base64
import html
import json
import secrets
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from taske_ray.core.redaction import MASK, Redactor, redact

_secret = 'p/4"s <w>+&é'


@pytest.mark.parametrize(
    "spelling",
    [
        _secret,
        quote(_secret, safe=""),
        quote(_secret),
        quote(_secret, safe="").lower(),
        quote_plus(_secret),
        json.dumps(_secret)[1:-1],
        json.dumps(_secret, ensure_ascii=False)[1:-1],
        json.dumps(_secret)[1:-1].replace("/", "\\/"),
        json.dumps(_secret)[1:-1].replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
        html.escape(_secret),
        _secret.encode().hex(),
        _secret.encode().hex().upper(),
        base64.b64encode(_secret.encode()).decode().rstrip("="),
        base64.urlsafe_b64encode(_secret.encode()).decode().rstrip("="),
    ],
)
def test_spellings(spelling: str) -> None:
    """A secret is masked as it is and in each encoding in which it travels, in text and in JSON."""
    masked = Redactor([_secret]).text(f"<{spelling}>")
    assert MASK in masked
    assert spelling not in masked
    value = {"a": [f"<{spelling}>", {spelling: 1}]}
    for found in (Redactor([_secret]).json(value), Redactor([_secret]).data(value)):
        assert found == {"a": [masked, {MASK: 1}]} or spelling not in str(found)
        assert MASK in found["a"][0]


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
    assert Redactor(["s3cret"]).data(value) == value
    assert Redactor().data(value) is value


def test_values_and_names_deep_inside() -> None:
    """Strings at any depth and names of members are masked; secrets may be nested too."""
    redactor = Redactor([{"headers": {"x": "s3cret"}}, ["other-one"], 42, "abc"])
    found = redactor.data({"a": ["x s3cret", {"s3cret": 1}], "b": "other-one", "c": "abc"})
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
        ("Basic YWxpOm9wZW4gc2VzYW1lIQ== was wrong", f"Basic {MASK} was wrong"),
        ("Basic authentication is needed", "Basic authentication is needed"),
        ("Bearer realm=x, error=invalid_token", "Bearer realm=x, error=invalid_token"),
        ("see pk-2024-report-final and sk_short", "see pk-2024-report-final and sk_short"),
        ("OPENAI sk-proj-abc123DEF456ghi789", f"OPENAI {MASK}"),
        ("key AKIAABCDEFGHIJKLMNOP used", f"key {MASK} used"),
        ("GET /x?a=1&access_token=abcdef&b=2 failed", f"GET /x?a=1&access_token={MASK}&b=2 failed"),
        ("GET /x?monkey=abcdef failed", "GET /x?monkey=abcdef failed"),
        ("redis://:hunter2@10.0.0.1/0", f"redis://{MASK}@10.0.0.1/0"),
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
    assert Redactor().text(text) == redact(text) == masked
    assert redact({"a": [text]}) == {"a": [masked]}
    assert redact(masked) == masked


@given(st.text(st.characters(), max_size=20))
def test_any_text_can_be_looked_at(text: str) -> None:
    """Also half of a character, which no UTF-8 has; nothing but a text comes out."""
    value = {"a": text, text: "Bearer abcdefgh1234567890", "url": text, "headers": {text: text}}
    found = Redactor(["s3cret"]).json(value)
    assert "abcdefgh1234567890" not in str(found)


def test_the_order_is_place_value_looks() -> None:
    """A header's place hides it whole, whatever its value; a known value goes before looks could keep a part of it."""
    redactor = Redactor(["Bearer abcdefgh1"])
    sent = {
        "headers": {"authorization": "Bearer abcdefgh1 and more", "x-other": "Bearer abcdefgh1"},
        "body": "xabcdefgh1",
    }
    assert redactor.json(sent) == {"headers": {"authorization": MASK, "x-other": MASK}, "body": "xabcdefgh1"}
    assert redactor.json("say Bearer abcdefgh1234") == f"say {MASK}234"


def test_what_steps_hand_on_is_changed_by_value_alone() -> None:
    """An output is data for the next step: places and looks are masked when it is shown."""
    output = {
        "headers": {"set-cookie": "a=1"},
        "body": {"jwt": "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiIx.c2ln", "k": "s3cret"},
    }
    kept = Redactor(["s3cret"]).data(output)
    assert kept == {**output, "body": {**output["body"], "k": MASK}}
    assert redact(kept) == {"headers": {"set-cookie": MASK}, "body": {"jwt": MASK, "k": MASK}}


@pytest.mark.parametrize(
    "secret", ["line one\nline two\n", "  padded token  ", 12345678, {"a": [{"b": "inner-value"}]}]
)
def test_secrets_of_every_shape(secret: object) -> None:
    """Texts of several lines, padded ones, numbers, and values with texts deep inside."""
    redactor = Redactor([secret])
    for text in ("x line two y", "x padded token y", "x 12345678 y", "x inner-value y"):
        if redactor.text(text) != text:
            assert redactor.text(text) == f"x {MASK} y"
            return
    pytest.fail("nothing was masked")


@given(st.text(max_size=30), st.text(max_size=30))
def test_forty_characters_are_found_in_every_spelling(before: str, after: str) -> None:
    """A random credential does not survive in any encoding that services use, wherever it stands."""
    secret = secrets.token_urlsafe(30)
    text = f"{before}{secret}{after}"
    raw = text.encode("utf-8", "surrogatepass")
    ways = [
        text,
        quote(text, errors="replace"),
        quote_plus(text, errors="replace"),
        json.dumps(text),
        json.dumps(json.dumps(text)),
        raw.hex(),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        html.escape(text),
    ]
    redactor = Redactor([secret])
    clean = [redactor.text(way) for way in ways] + list(redactor.json({"ways": ways})["ways"])
    for way in clean:
        assert MASK in way
        assert secret not in way
        assert secret[8:32] not in way
        assert secret[8:32].encode().hex() not in way
        assert not any(base64.b64encode(b"x" * n + secret[3:].encode()).decode()[8:40] in way for n in range(3))
