"""What a body must be: strict JSON."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from deployments.shared.bodies import parse_json, require_json
from taske_ray.errors import Invalid, UnsupportedMediaType

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


def request(media):
    return Request({"type": "http", "headers": [(b"content-type", media.encode())]})


@pytest.mark.parametrize(
    "media", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
def test_json_media_types(media):
    """JSON in UTF-8 is taken in every spelling."""
    require_json(request(media))


@pytest.mark.parametrize("media", ["", "text/plain", "application/json; charset=latin1", "application/xml", "json"])
def test_other_media_types(media):
    """Everything else is 415."""
    with pytest.raises(UnsupportedMediaType):
        require_json(request(media))


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b'{"a": [1, {"b~/c": "\\u0000"}]}', "/a/1/b~0~1c"),
        (b'{"a": {"\\u0000": 1}}', "/a/\x00"),
        (b'{"a": [{"\\udfff": 1}]}', "/a/0/?"),
        (b'{"a": 1, "c": [{"b": 1, "b": 2}]}', "/c/0/b"),
        (b'{"a": {"b": 18446744073709551616}}', "/a/b"),
        (b'{"a": [1, 1e999]}', "/a/1"),
        (b'"\\ud800"', ""),
    ],
)
def test_refusals_name_the_place(data, place):
    """The pointer leads to the value or the key at fault, however deep, and can itself be answered."""
    with pytest.raises(Invalid) as refused:
        parse_json(data)
    assert refused.value.errors[0].pointer == place
    orjson.dumps(refused.value.errors[0].pointer)
