"""Reading bodies: strict JSON, and never more bytes than allowed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from deployments.shared.bodies import parse_json, read_body, require_json
from taske_ray.errors import Invalid, TooLarge, UnsupportedMediaType

finite = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | finite | text,
    lambda inner: st.lists(inner) | st.dictionaries(text, inner),
    max_leaves=20,
)


@given(values)
def test_every_json_value_is_read_as_it_is(value):
    """What a JSON writer writes is read back unchanged."""
    assert parse_json(json.dumps(value).encode()) == value


@given(st.binary(max_size=200))
def test_no_bytes_make_anything_but_invalid(data):
    """Any bytes are a value or Invalid, never another error."""
    try:
        parse_json(data)
    except Invalid as error:
        assert error.errors  # noqa: PT017 - the rest must not be raised


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b'{"a": {"b": 1, "b": 2}}', "duplicate_key"),
        (b"[NaN]", "bad_number"),
        (b"[-Infinity]", "bad_number"),
        (b"[1e999]", "bad_number"),
        (b"[9223372036854775808]", "bad_number"),
        (b"[" + b"9" * 5000 + b"]", "bad_json"),
        (b'["\\u0000"]', "bad_text"),
        (b'{"\\u0000": 1}', "bad_text"),
        (b'["\\udc00"]', "bad_text"),
        (b"\xef\xbb\xbf{}", "bad_json"),
        (b"\xff", "bad_json"),
        (b"", "bad_json"),
        (b"{} {}", "bad_json"),
        (b"[" * 65 + b"]" * 65, "too_deep"),
        (b"[" * 100_000, "too_deep"),
        (b"[" + b",".join([b"1"] * 100_001) + b"]", "too_many"),
        (json.dumps({str(n): n for n in range(10_001)}).encode(), "too_many"),
    ],
)
def test_what_is_refused(data, code):
    """Each kind of bad JSON has its code."""
    with pytest.raises(Invalid) as refused:
        parse_json(data)
    assert refused.value.errors[0].code == code


def request(chunks, **headers):
    parts = iter(chunks)

    async def receive():
        part = next(parts, None)
        return {"type": "http.request", "body": part or b"", "more_body": part is not None}

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": pairs}, receive)


async def test_bytes_are_counted_while_they_arrive():
    """A body over the limit is refused whatever Content-Length says, and before the rest is read."""
    assert await read_body(request([b"ab", b"cd"]), limit=4) == b"abcd"
    with pytest.raises(TooLarge):
        await read_body(request([b"ab", b"cd", b"e"], content_length="1"), limit=4)
    with pytest.raises(TooLarge):
        await read_body(request([], content_length="5"), limit=4)


@pytest.mark.parametrize(
    "media", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_media_types(media):
    """JSON in UTF-8 is taken in every spelling."""
    require_json(request([], content_type=media))


@pytest.mark.parametrize("media", ["", "text/plain", "application/json; charset=latin1", "application/xml", "json"])
def test_other_media_types(media):
    """Everything else is 415."""
    with pytest.raises(UnsupportedMediaType):
        require_json(request([], content_type=media))


def test_compressed_bodies_are_refused():
    """No request compression, so no bombs."""
    with pytest.raises(UnsupportedMediaType):
        require_json(request([], content_type="application/json", content_encoding="gzip"))
