"""Bytes as data: what each decoding gives, and that nothing it reads can hurt."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.capability.exchange.decode import view
from taske_ray.core.http import HttpResponse

_atom = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>News</title>
<link rel="self" href="https://n.example/feed"/><link href="https://n.example/"/>
<entry><id>tag:1</id><title type="html">One <b>bold</b></title><link href="https://n.example/1"/>
<published>2026-01-05T09:00:00+09:00</published><updated>2026-01-06T00:00:00Z</updated>
<author><name>Ali</name></author><summary>s</summary></entry></feed>"""
_rss = """<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel><title>News</title>
<link>https://n.example/</link><item><guid>g1</guid><title>One</title><link>https://n.example/1</link>
<pubDate>Mon, 05 Jan 2026 00:00:00 GMT</pubDate><dc:creator>Ali</dc:creator><description>d</description></item>
<item><title>Two</title><pubDate>whenever</pubDate></item></channel></rss>"""


def _body(raw: bytes, kind: str, decode: str = "auto") -> Any:
    return view(HttpResponse(200, {"content-type": kind}, raw), decode)["body"]


@pytest.mark.parametrize(
    ("kind", "raw", "body"),
    [
        ("application/json", b'{"a":[1,2.5,null]}', {"a": [1, 2.5, None]}),
        ("application/problem+json; charset=utf-8", b'"x"', "x"),
        ("application/json", b'\xef\xbb\xbf{"a":1}', {"a": 1}),
        ("application/json", b"not json", "not json"),
        ("application/json", b"NaN", "NaN"),
        ("application/json", b"", None),
        ("text/html", "<p>é".encode(), "<p>é"),
        ("text/plain; charset=iso-8859-1", b"\xe9", "é"),
        ("text/plain; charset=EUC-KR", "기획".encode("euc-kr"), "기획"),
        ("", b'{"a":1}', '{"a":1}'),
        ("image/png", b"\x89PNG", {"base64": "iVBORw==", "content_type": "image/png", "size": 4}),
        ("", b"a\x00b", {"base64": "YQBi", "content_type": None, "size": 3}),
    ],
)
def test_auto(kind: str, raw: bytes, body: Any) -> None:
    """JSON by content type, else text if it is text, else base64; it never fails."""
    assert _body(raw, kind) == body


@pytest.mark.parametrize(
    ("decode", "raw", "body"),
    [
        ("json", b'{"a":1}', {"a": 1}),
        ("json", b"nope", None),
        ("json", b"[" * 100_000, None),
        ("text", b"\xff", "\ufffd"),
        ("ndjson", b'{"a":1}\n\n{"a":2}\n', [{"a": 1}, {"a": 2}]),
        ("ndjson", b'{"a":1}\nnope', None),
        ("csv", b'a,b\r\n1,"x,y"\n2\n', [{"a": "1", "b": "x,y"}, {"a": "2", "b": None}]),
        ("binary", b"\x00", {"base64": "AA==", "content_type": None, "size": 1}),
        (
            "xml",
            b"<r><a x='1'>t</a><a/><n:b xmlns:n='u'>2</n:b></r>",
            {"r": {"a": [{"@x": "1", "#text": "t"}, None], "b": "2"}},
        ),
        ("xml", b"<!DOCTYPE r [<!ENTITY e 'x'>]><r>&e;</r>", None),
        ("xml", b"<r>", None),
        ("xml", b"<a>" * 200 + b"</a>" * 200, None),
        ("feed", b"<html/>", None),
    ],
)
def test_stated_decodings(decode: str, raw: bytes, body: Any) -> None:
    """A stated decoding reads its format; what is none has a null body."""
    assert _body(raw, "", decode) == body


def test_the_text_is_kept() -> None:
    """What cannot be decoded is still there as text."""
    seen = view(HttpResponse(200, {}, b"nope", "https://x.example/"), "json")
    assert (seen["body"], seen["text"], seen["url"]) == (None, "nope", "https://x.example/")


def test_feeds_have_one_shape() -> None:
    """Atom and RSS give the same members, with times in RFC 3339."""
    assert _body(_atom.encode(), "", "feed") == {
        "title": "News",
        "link": "https://n.example/",
        "entries": [
            {
                "id": "tag:1",
                "title": "One bold",
                "link": "https://n.example/1",
                "published": "2026-01-05T00:00:00Z",
                "updated": "2026-01-06T00:00:00Z",
                "summary": "s",
                "content": None,
                "author": "Ali",
            }
        ],
    }
    first, second = _body(_rss.encode(), "", "feed")["entries"]
    assert (first["id"], first["published"], first["author"]) == ("g1", "2026-01-05T00:00:00Z", "Ali")
    assert (second["id"], second["published"], second["link"]) == (None, None, None)


@given(st.binary(max_size=300), st.sampled_from(["auto", "json", "ndjson", "xml", "feed", "csv", "text", "binary"]))
def test_no_bytes_raise(raw: bytes, decode: str) -> None:
    """Any bytes decode to something or to null, and binary ones come back as they were."""
    body = _body(raw, "", decode)
    if decode == "binary":
        assert base64.b64decode(body["base64"]) == raw
