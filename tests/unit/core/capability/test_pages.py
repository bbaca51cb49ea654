"""Pages: what the next request carries, and when and why reading ends."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taske_ray.core.capability import Capability, parse_module
from taske_ray.core.capability.exchange.pages import next_link
from taske_ray.core.http import HttpResponse
from taske_ray.core.outcome import ErrorClass, Succeeded

Make = Callable[..., Capability]
Play = Callable[..., Any]
_list = {"items": "{{ response.body.items }}", "output": {"n": "{{ items | size }}", "more": "{{ page.truncated }}"}}
_by_cursor = {"type": "cursor", "next": "{{ response.body.next }}", "send": {"in": "query", "name": "after"}}


def _page(*items: Any, **more: Any) -> dict[str, Any]:
    return {"items": list(items), **more}


def _paged(capability: Make, pagination: dict[str, Any], **request: Any) -> Capability:
    return capability(request={"path": "/items", **request}, response=_list, pagination=pagination)


def _queries(found: Any) -> list[str]:
    return [request.url.partition("?")[2] for request in found.requests]


@pytest.mark.parametrize("end", [{}, {"next": None}, {"next": ""}])
def test_a_cursor_ends_when_there_is_none(capability: Make, talk: Play, end: dict[str, Any]) -> None:
    """A cursor goes where `send` says, with the page size, and ends with a null, missing or empty one."""
    one = _paged(capability, {**_by_cursor, "size": {"in": "query", "name": "limit", "value": 2}})
    found = talk(one, _page(1, 2, next="p2"), _page(3, **end), params={"name": "x"})
    assert _queries(found) == ["limit=2", "limit=2&after=p2"]
    assert found.outcome.output == {"n": 3, "more": False}


def test_a_cursor_in_the_body(capability: Make, talk: Play) -> None:
    """A token can go to a dotted name in the body."""
    pagination = {**_by_cursor, "send": {"in": "body", "name": "page.token"}}
    one = _paged(capability, pagination, method="POST", body={"page": {"sort": "asc"}})
    found = talk(one, _page(1, next=5), _page(2), params={"name": "x"})
    assert [request.body for request in found.requests] == [
        b'{"page":{"sort":"asc"}}',
        b'{"page":{"sort":"asc","token":5}}',
    ]


@pytest.mark.parametrize(
    ("kind", "queries"),
    [
        ("page", ["limit=2&p=1", "limit=2&p=2", "limit=2&p=3"]),
        ("offset", ["limit=2&p=0", "limit=2&p=2", "limit=2&p=4"]),
    ],
)
def test_pages_and_offsets_end_with_a_short_page(capability: Make, talk: Play, kind: str, queries: list[str]) -> None:
    """Page numbers and offsets grow until a page has fewer items than its size."""
    size = {"in": "query", "name": "limit", "value": 2}
    one = _paged(capability, {"type": kind, "send": {"in": "query", "name": "p"}, "size": size})
    found = talk(one, _page(1, 2), _page(3, 4), _page(5), params={"name": "x"})
    assert _queries(found) == queries
    assert found.outcome.output["n"] == 5


def test_pages_without_a_size_end_with_an_empty_one(capability: Make, talk: Play) -> None:
    """Where no size is known, only an empty page is the last."""
    one = _paged(capability, {"type": "page", "send": {"in": "header", "name": "X-Page"}, "start": 0})
    found = talk(one, _page(1), _page(), params={"name": "x"})
    assert [request.headers["x-page"] for request in found.requests] == ["0", "1"]


def test_a_link_header(capability: Make, talk: Play) -> None:
    """The target of `rel=next` is the next request; the key that the connection puts into the query comes along."""
    scheme = {
        "id": "token",
        "type": "api_key",
        "fields": {"type": "object", "properties": {"key": {"type": "string", "x-secret": True}}},
        "apply": {"query": {"k": "{{ conn.secret.key }}"}},
    }
    one = capability(
        module={"auth": [scheme]},
        request={"path": "/items", "query": {"since": 1}},
        response=_list,
        pagination={"type": "link"},
    )
    first = HttpResponse(
        200,
        {"content-type": "application/json", "link": '</v1/items?c=2>; rel="next"'},
        b'{"items":[1]}',
        "https://api.shop.example/v1/items?since=1",
    )
    found = talk(one, first, _page(2), params={"name": "x"}, connection={"key": "5ecret"})
    assert [request.url for request in found.requests] == [
        "https://api.shop.example/v1/items?since=1&k=5ecret",
        "https://api.shop.example/v1/items?c=2&k=5ecret",
    ]
    assert "5ecret" not in str([request.shown for request in found.requests])


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ('<https://a/2>; rel="next", <https://a/9>; rel="last"', "https://a/2"),
        ('<https://a/1>; rel="prev", <https://a/3>; rel="next"', "https://a/3"),
        ("<https://a/2>; rel=next", "https://a/2"),
        ('<https://a/2>; title="x"; REL="first next"', "https://a/2"),
        ('<https://a/2>; rel="nextish"', None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_links(text: str, target: str | None) -> None:
    """Only a target whose relations include `next` is one."""
    assert next_link(text) == target


def test_a_next_url_stays_at_its_host(capability: Make, talk: Play) -> None:
    """A next page elsewhere is refused, whoever asks; a credential never goes to another origin."""
    one = _paged(capability, {"type": "next_url", "next": "{{ response.body.next }}"})
    found = talk(one, _page(1, next="https://evil.example/2"), params={"name": "x"})
    assert (found.outcome.code, len(found.requests)) == ("host_not_allowed", 1)
    found = talk(one, _page(1, next="http://api.shop.example/2"), params={"name": "x"}, connection={"token": "s3cret"})
    assert (found.outcome.code, len(found.requests)) == ("host_not_allowed", 1)


def test_a_loop_is_fatal(capability: Make, talk: Play) -> None:
    """The same token twice ends the step instead of reading forever."""
    one = _paged(capability, _by_cursor)
    outcome = talk(one, _page(1, next="a"), _page(2, next="b"), _page(3, next="a"), params={"name": "x"}).outcome
    assert (outcome.error_class, outcome.code) == (ErrorClass.FATAL, "pagination_loop")


@pytest.mark.parametrize(
    ("caps", "answers", "output"),
    [
        ({"max_pages": 1}, [_page(1, next="a")], {"n": 1, "more": True}),
        ({"max_pages": 1}, [_page(1)], {"n": 1, "more": False}),
        ({"max_items": 3}, [_page(1, 2, next="a"), _page(3, 4)], {"n": 3, "more": True}),
        ({"max_items": 2}, [_page(1, 2, next="a")], {"n": 2, "more": True}),
        ({"max_items": 2}, [_page(1, 2)], {"n": 2, "more": False}),
        ({"max_items": "{{ params.price }}"}, [_page(1, 2)], {"n": 1, "more": True}),
        ({"stop_when": "item == 2"}, [_page(1, 2, next="a")], {"n": 2, "more": False}),
        ({"stop_when": "page.count >= 1"}, [_page(1, next="a")], {"n": 1, "more": False}),
    ],
)
def test_other_ends(capability: Make, talk: Play, caps: Any, answers: list[Any], output: Any) -> None:
    """Caps end reading and say so; a condition ends it and does not."""
    found = talk(_paged(capability, {**_by_cursor, **caps}), *answers, params={"name": "x"})
    assert isinstance(found.outcome, Succeeded)
    assert found.outcome.output == output


def test_an_error_on_any_page_fails_the_step(capability: Make, talk: Play) -> None:
    """What the first pages brought is not an output when a later one fails."""
    found = talk(_paged(capability, _by_cursor), _page(1, next="a"), 500, params={"name": "x"})
    assert found.outcome.error_class is ErrorClass.TRANSIENT


def test_too_many_items_are_an_error(capability: Make, talk: Play) -> None:
    """A list over the limit is refused, not cut in silence."""
    found = talk(capability(response=_list), _page(*range(10_001)), params={"name": "x"})
    assert (found.outcome.error_class, found.outcome.code) == (ErrorClass.FATAL, "template_limit")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=8), st.integers(1, 25))
def test_every_item_once_and_in_order(sizes: list[int], cap: int) -> None:
    """Whatever the sizes of the pages, items come once, in order, up to the cap, and a cut is told."""
    pages, next_item = [], 0
    for size in sizes:
        pages.append(list(range(next_item, next_item + size)))
        next_item += size
    document = {
        "module": "m",
        "name": "M",
        "base_url": "https://m.example",
        "capabilities": [
            {
                "capability": "m.list",
                "kind": "action",
                "name": "List",
                "request": {"path": "/"},
                "response": {**_list, "output": {"all": "{{ items }}", "more": "{{ page.truncated }}"}},
                "pagination": {**_by_cursor, "max_items": cap},
            }
        ],
    }
    one = parse_module(document).capabilities["m.list"]
    output = _play_all(one, pages)
    assert output["all"] == list(range(min(cap, next_item)))
    assert output["more"] == (
        next_item > cap or (sum(map(len, _needed(pages, cap))) == cap and len(_needed(pages, cap)) < len(pages))
    )


def _needed(pages: list[list[int]], cap: int) -> list[list[int]]:
    """The pages that are read until the cap is reached."""
    count = 0
    for number, page in enumerate(pages, 1):
        count += len(page)
        if count >= cap:
            return pages[:number]
    return pages


def _play_all(one: Capability, pages: list[list[int]]) -> Any:
    from taske_ray.core.capability import CallContext, converse

    conversation = converse(one, CallContext({}, "2026-01-01T00:00:00Z"))
    next(conversation)
    for number, page in enumerate(pages):
        following = number + 1 if number + 1 < len(pages) else None
        body = f'{{"items":{page},"next":{following or "null"}}}'.encode()
        try:
            conversation.send(HttpResponse(200, {"content-type": "application/json"}, body))
        except StopIteration as stop:
            return stop.value.output
    raise AssertionError("asked for more pages than there are")
