"""Requests: what is built from parameters, and that values never change the structure."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.capability import Capability
from taske_ray.core.capability.exchange.encode import encode_body, escape, pairs_of
from taske_ray.core.capability.exchange.refusal import Refusal
from taske_ray.core.outcome import ErrorClass, Failed

Make = Callable[..., Capability]
Play = Callable[..., Any]


def _open(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {}, "b": {}, "c": {}} | properties}


def _refused(talk: Any) -> tuple[ErrorClass, str, bool]:
    assert isinstance(talk.outcome, Failed)
    assert talk.requests == []
    return talk.outcome.error_class, talk.outcome.code, talk.outcome.sent


def test_path_query_headers_and_body(capability: Make, talk: Play) -> None:
    """A request is put together from base URL, path places, query, headers in lower case, and a JSON body."""
    one = capability(
        module={"defaults": {"headers": {"X-Version": "1", "Accept": "a/b"}, "timeout_s": 7}},
        params=_open(),
        request={
            "method": "PUT",
            "path": "/items/{id}/x",
            "path_params": {"id": "{{ params.a }}"},
            "query": {"q": "{{ params.b }}", "on": True, "none": None},
            "headers": {"Accept": "c/d"},
            "body": {"n": 1.5, "gone": None, "list": [None, {"x": None}]},
        },
    )
    request = talk(one, params={"a": "ü/?", "b": "a&b=c d"}).request
    assert (request.method, request.timeout_s, request.max_redirects) == ("PUT", 7.0, 0)
    assert request.url == "https://api.shop.example/v1/items/%C3%BC%2F%3F/x?q=a%26b%3Dc%20d&on=true"
    assert request.headers == {"x-version": "1", "accept": "c/d", "content-type": "application/json"}
    assert json.loads(request.body) == {"n": 1.5, "list": [None, {}]}
    assert (request.allowed_hosts, request.credentialed) == (("api.shop.example",), False)


def test_reading_follows_redirects_and_carries_no_body(capability: Make, talk: Play) -> None:
    """A GET has no body, five redirects unless said otherwise, and the capability's own response size."""
    one = capability(request={"path": "/items"}, response={"max_bytes": 10})
    request = talk(one, params={"name": "x"}).request
    assert (request.method, request.body, request.max_redirects, request.max_bytes) == ("GET", None, 5, 10)
    assert talk(capability(request={"path": "/items", "redirects": 0}), params={"name": "x"}).request.max_redirects == 0


@pytest.mark.parametrize("value", ["", ".", "..", None])
def test_a_path_keeps_its_structure(capability: Make, talk: Play, value: Any) -> None:
    """An empty or dotted path parameter is refused before anything is sent."""
    one = capability(params=_open(), request={"path": "/items/{a}", "path_params": {"a": "{{ params.a }}"}})
    assert _refused(talk(one, params={"a": value})) == (ErrorClass.FATAL, "path_param_mismatch", False)


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_no_text_escapes_its_path_segment(text: str) -> None:
    """Percent-encoding leaves no character that has a meaning in a URL."""
    assert not set(escape(text)) & set("/?#&=+ \\@:")


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8"))))
def test_a_form_reads_back_as_it_was(values: dict[str, str]) -> None:
    """A form body parsed by the standard library gives the values that went in."""
    content, kind = encode_body(values or {"a": ""}, "form", "repeat")
    assert kind == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(content.decode(), keep_blank_values=True, strict_parsing=True)) == (values or {"a": ""})


@pytest.mark.parametrize(
    ("style", "pairs"),
    [
        ("repeat", [("a", "1"), ("a", "true"), ("o", '{"x":{"y":"z"}}')]),
        ("comma", [("a", "1,true"), ("o", '{"x":{"y":"z"}}')]),
        ("brackets", [("a[]", "1"), ("a[]", "true"), ("o[x][y]", "z")]),
    ],
)
def test_how_arrays_are_spelt(style: str, pairs: list[tuple[str, str]]) -> None:
    """Arrays are repeated, joined or bracketed; only brackets nest objects."""
    assert pairs_of({"a": [1, True], "o": {"x": {"y": "z"}}}, style) == pairs


@pytest.mark.parametrize(
    ("value", "encoding", "content", "kind"),
    [
        ({"a": "é"}, "auto", '{"a":"é"}'.encode(), "application/json"),
        ([1], "auto", b"[1]", "application/json"),
        (5, "auto", b"5", "application/json"),
        ("hi", "auto", b"hi", "text/plain; charset=utf-8"),
        ("hi", "json", b'"hi"', "application/json"),
        ({"a": 1}, "text", b'{"a":1}', "text/plain; charset=utf-8"),
        (None, "json", None, None),
        ({"a": 1}, "none", None, None),
        ({"base64": "AAE=", "content_type": "image/x"}, "raw", b"\x00\x01", "image/x"),
    ],
)
def test_encodings(value: Any, encoding: str, content: bytes | None, kind: str | None) -> None:
    """Each encoding gives its bytes and content type; null is no body."""
    assert encode_body(value, encoding, "repeat") == (content, kind)


def test_multipart_carries_files_and_repeats_itself() -> None:
    """A multipart body holds fields and files, quotes names, and has the same bytes each time."""
    value = {"title": "hi", "f": {"filename": 'a"\r\n.txt', "base64": base64.b64encode(b"\x00raw").decode()}}
    content, kind = encode_body(value, "multipart", "repeat")
    assert (content, kind) == encode_body(value, "multipart", "repeat")
    boundary = kind.partition("boundary=")[2].encode()
    parts = content.split(b"--" + boundary)
    assert (parts[0], parts[-1]) == (b"", b"--\r\n")
    assert b'name="title"\r\n\r\nhi\r\n' in parts[1]
    assert b'filename="a%22%0D%0A.txt"\r\nContent-Type: application/octet-stream\r\n\r\n\x00raw\r\n' in parts[2]


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        ("x", "form"),
        ([1], "multipart"),
        ({"base64": "***"}, "raw"),
        ("x", "raw"),
        (float("nan"), "json"),
        ("\ud800", "text"),
    ],
)
def test_bodies_that_cannot_be_written(value: Any, encoding: str) -> None:
    """A value that an encoding cannot carry is refused."""
    with pytest.raises(Refusal):
        encode_body(value, encoding, "repeat")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"X-A": "a\r\nEvil: 1"}, "bad_header"),
        ({"X-A": "a\x00"}, "bad_header"),
        ({"X A": "a"}, "bad_header"),
        ({"Host": "evil.example"}, "reserved_header"),
        ({"x-forwarded-for": "1.2.3.4"}, "reserved_header"),
        ("text", "template_type"),
    ],
)
def test_headers_from_users(capability: Make, talk: Play, headers: Any, code: str) -> None:
    """Line breaks, odd names and the engine's own headers are refused when they come from parameters."""
    one = capability(params=_open(), request={"path": "/", "headers": "{{ params.a }}"})
    assert _refused(talk(one, params={"a": headers})) == (ErrorClass.FATAL, code, False)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://evil.example/", "host_not_allowed"),
        ("https://api.shop.example:8443/", "host_not_allowed"),
        ("ftp://api.shop.example/", "bad_url"),
        ("//api.shop.example/", "bad_url"),
        ("https://user@api.shop.example/", "bad_url"),
        ("https://api.shop.example/a b", "bad_url"),
        ("https://api.shop.example\\@evil.example/", "bad_url"),
        ("https://api.shop.example:99999999/", "bad_url"),
        ({"not": "text"}, "bad_url"),
    ],
)
def test_urls_from_users(capability: Make, talk: Play, url: Any, code: str) -> None:
    """A URL from parameters must be one, and must go to an allowed host."""
    one = capability(params=_open(), request={"url": "{{ params.a }}"})
    assert _refused(talk(one, params={"a": url})) == (ErrorClass.FATAL, code, False)


def test_a_url_keeps_its_own_query(capability: Make, talk: Play) -> None:
    """The query of a given URL stays, ours is appended, its fragment is not sent, and Unicode is encoded."""
    one = capability(params=_open(), request={"url": "{{ params.a }}", "query": {"b": [1, 2]}})
    url = talk(one, params={"a": "https://api.shop.example/ü?x=%20y#part"}).request.url
    assert url == "https://api.shop.example/%C3%BC?x=%20y&b=1&b=2"
    assert urlsplit(url).fragment == ""


def test_null_stays_if_asked(capability: Make, talk: Play) -> None:
    """With `keep_null`, members that are null are sent."""
    one = capability(params=_open(), request={"method": "POST", "path": "/", "body": {"a": None}, "keep_null": True})
    assert talk(one).request.body == b'{"a":null}'


def test_a_template_error_names_its_field(capability: Make, talk: Play) -> None:
    """A template that cannot be evaluated fails the call, before anything is sent, with its code and place."""
    one = capability(params=_open(), request={"path": "/", "query": {"q": "{{ params.a | plus: 1 }}"}})
    found = talk(one, params={"a": "x"})
    assert _refused(found) == (ErrorClass.FATAL, "filter_error", False)
    assert "/capabilities/0/request/query/q" in found.outcome.message


def test_the_key_of_a_step(capability: Make, talk: Play) -> None:
    """An action's own request carries the step's key; a header of the user's own stays; `header: null` stops it."""
    one = capability()
    assert talk(one, params={"name": "x"}, idempotency_key="r:s").request.headers["idempotency-key"] == "r:s"
    assert "idempotency-key" not in talk(one, params={"name": "x"}).request.headers
    one = capability(idempotency={"class": "keyed", "header": None, "body_field": "meta.key", "key": "{{ run.id }}!"})
    request = talk(one, params={"name": "x"}, run_id="run_1", step="s", idempotency_key="r:s").request
    assert "idempotency-key" not in request.headers
    assert json.loads(request.body) == {"name": "x", "meta": {"key": "run_1!"}}
