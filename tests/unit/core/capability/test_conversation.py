"""Conversations: first requests, outcomes, outputs, warnings."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taske_ray.core.capability import CallContext, Capability, converse, parse_module
from taske_ray.core.http import HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed, Succeeded

Make = Callable[..., Capability]
Play = Callable[..., Any]


def test_the_body_is_the_output_unless_it_is_mapped(capability: Make, talk: Play) -> None:
    """Without `output` an action gives the body; with one, what that says, declared members filled with null."""
    assert talk(capability(), {"id": 7}, params={"name": "x"}).outcome.output == {"id": 7}
    one = capability(
        response={"output": {"id": "{{ response.body.id }}", "status": "{{ response.status }}"}},
        output={"type": "object", "required": ["id"], "properties": {"id": {}, "link": {}}},
    )
    outcome = talk(one, {"id": 7}, params={"name": "x"}).outcome
    assert (outcome.output, outcome.warnings) == ({"id": 7, "status": 200, "link": None}, ())
    assert (outcome.http_status, outcome.request["method"]) == (200, "POST")


def test_an_output_that_misses_something_is_a_warning(capability: Make, talk: Play) -> None:
    """A required member that is not there does not fail a step whose request succeeded."""
    one = capability(
        response={"output": {"id": "{{ response.body.id }}"}},
        output={"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}},
    )
    outcome = talk(one, {"other": 1}, params={"name": "x"}).outcome
    assert isinstance(outcome, Succeeded)
    assert (outcome.output, outcome.warnings) == ({"id": None}, ("output_mismatch",))


def test_a_list_is_mapped_and_counted(capability: Make, talk: Play) -> None:
    """`items` gives the list, `item` maps each, and the default output counts them; null is none, an object is one."""
    one = capability(response={"items": "{{ response.body.list }}", "item": {"n": "{{ item.name }}"}})
    assert talk(one, {"list": [{"name": "a"}, {}]}, params={"name": "x"}).outcome.output == {
        "items": [{"n": "a"}, {"n": None}],
        "count": 2,
    }
    assert talk(one, {"list": None}, params={"name": "x"}).outcome.output == {"items": [], "count": 0}
    assert talk(one, {"list": {"name": "a"}}, params={"name": "x"}).outcome.output["count"] == 1
    outcome = talk(one, {"list": "text"}, params={"name": "x"}).outcome
    assert (outcome.error_class, outcome.code, outcome.sent) == (ErrorClass.FATAL, "template_type", True)


def test_first_requests_feed_the_next(capability: Make, talk: Play) -> None:
    """`pre` requests are made in order, each sees the ones before, and they carry no idempotency key."""
    one = capability(
        pre=[
            {"id": "a", "request": {"path": "/a"}, "output": {"x": "{{ response.body.x }}"}},
            {"id": "b", "request": {"path": "/b/{x}", "path_params": {"x": "{{ pre.a.x }}"}}},
        ],
        request={"method": "POST", "path": "/items", "body": {"y": "{{ pre.b.y }}"}},
    )
    found = talk(one, {"x": 1}, {"y": 2}, {"ok": True}, params={"name": "x"}, idempotency_key="r:s")
    assert [request.url.rpartition("/v1")[2] for request in found.requests] == ["/a", "/b/1", "/items"]
    assert found.requests[2].body == b'{"y":2}'
    assert ["idempotency-key" in request.headers for request in found.requests] == [False, False, True]
    assert found.outcome.output == {"ok": True}


def test_a_first_request_that_fails(capability: Make, talk: Play) -> None:
    """An answer to a `pre` request is judged like any other, by its own `success` too."""
    one = capability(pre=[{"id": "a", "request": {"path": "/a"}, "success": "response.body.values"}])
    assert talk(one, 503, params={"name": "x"}).outcome.error_class is ErrorClass.TRANSIENT
    assert talk(one, {"nothing": 1}, params={"name": "x"}).outcome.error_class is ErrorClass.INVALID


def test_what_reads_answers_sees_no_secret(capability: Make, talk: Play) -> None:
    """An output that passes `conn` on cannot hold a secret, because it is not in its scope."""
    one = capability(response={"output": "{{ conn.config }}"})
    assert talk(one, {}, params={"name": "x"}, connection={"token": "s3cret"}).outcome.output == {}


def test_a_credential_that_is_sent_back_is_masked(capability: Make, talk: Play) -> None:
    """A service that repeats the request, like an echo, does not bring the secret into outputs."""
    one = capability(response={"output": {"echo": "{{ response.body }}", "n": "{{ response.body.n }}"}})
    echoed = {"headers": {"authorization": "Bearer s3cret-s3cret"}, "n": 7}
    outcome = talk(one, echoed, params={"name": "x"}, connection={"token": "s3cret-s3cret"}).outcome
    assert outcome.output == {"echo": {"headers": {"authorization": "Bearer ••••"}, "n": 7}, "n": 7}


def test_a_failed_output_is_fatal_after_sending(capability: Make, talk: Play) -> None:
    """A template of the answer that cannot be evaluated fails the step and says that something was sent."""
    one = capability(response={"output": "id {{ response.body.id }}"})
    outcome = talk(one, {"other": 1}, params={"name": "x"}).outcome
    assert (outcome.error_class, outcome.code, outcome.sent) == (ErrorClass.FATAL, "template_undefined", True)
    assert outcome.request["url"] == "https://api.shop.example/v1/items"


def test_answers_are_data(capability: Make, talk: Play) -> None:
    """A template that arrives in an answer stays text."""
    one = capability(response={"output": {"echo": "{{ response.body.text }}"}})
    outcome = talk(one, {"text": "{{ conn.secret.token }}"}, params={"name": "x"}).outcome
    assert outcome.output == {"echo": "{{ conn.secret.token }}"}


def test_a_bottomless_answer(capability: Make, talk: Play) -> None:
    """An answer that is nested too deep to be worked on is refused, not an exception."""
    one = capability(output={"type": "object"}, response={"output": {"b": "{{ response.body }}"}})
    deep = HttpResponse(200, {"content-type": "application/json"}, b"[" * 900 + b"]" * 900)
    found = talk(one, deep, params={"name": "x"}, connection={"token": "s3cret"})
    assert isinstance(found.outcome, (Succeeded, Failed))
    nested: Any = "x"
    for _ in range(3000):
        nested = [nested]
    one = capability(request={"method": "POST", "path": "/", "body": "{{ params.note }}"})
    conversation = converse(one, CallContext({"name": "x", "note": nested}, "2026-01-10T00:00:00Z"))
    with pytest.raises(StopIteration) as stop:
        next(conversation)
    assert (stop.value.value.error_class, stop.value.value.sent) == (ErrorClass.FATAL, False)


def test_a_capability_without_requests(capability: Make, talk: Play) -> None:
    """What runs inside the service has no conversation."""
    one = capability(execution="internal", executor="smtp", request=None)
    assert talk(one, params={"name": "x"}).outcome.code == "bad_combination"


_kinds = st.sampled_from(["application/json", "text/html", "application/x-y; charset=utf-99", ""])


@settings(max_examples=150)
@given(st.integers(100, 599), _kinds, st.binary(max_size=200) | st.sampled_from([b'{"a":' * 50, b"[" * 20_000, b"NaN"]))
def test_no_answer_breaks_the_engine(status: int, kind: str, body: bytes) -> None:
    """Whatever a service answers, the outcome is a value: nothing is raised."""
    document = {
        "module": "m",
        "name": "M",
        "base_url": "https://m.example",
        "errors": [
            {"when": "response.body.error contains 'x'", "class": "invalid", "message": "{{ response.body.e }}"}
        ],
        "capabilities": [
            {
                "capability": "m.get",
                "kind": "action",
                "name": "Get",
                "request": {"path": "/"},
                "response": {"output": {"x": "{{ response.body.a.b | default: nil }}"}},
            }
        ],
    }
    conversation = converse(parse_module(document).capabilities["m.get"], CallContext({}, "2026-01-01T00:00:00Z"))
    next(conversation)
    with pytest.raises(StopIteration) as stop:
        conversation.send(HttpResponse(status, {"content-type": kind, "retry-after": kind}, body))
    assert isinstance(stop.value.value, (Succeeded, Failed))
