"""The runner of recorded cases: it passes what fits and names what does not."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from taske_ray.core.capability import Capability, run_recorded_test

Make = Callable[..., Capability]
_case: dict[str, Any] = {
    "name": "created",
    "secret": {"token": "t"},
    "auth": "token",
    "params": {"name": "bread"},
    "exchanges": [
        {
            "expect": {
                "method": "POST",
                "url": "https://api.shop.example/v1/items",
                "headers": {"Authorization": "Bearer t"},
                "query": {},
                "body": {"name": "bread"},
            },
            "respond": {"status": 200, "body": {"id": 7}},
        }
    ],
    "output": {"id": 7},
}


def _changed(path: str, value: Any) -> dict[str, Any]:
    case = copy.deepcopy(_case)
    *keys, last = path.split("/")
    place: Any = case
    for key in keys:
        place = place[int(key)] if isinstance(place, list) else place[key]
    place[last] = value
    return case


def test_a_case_that_fits(capability: Make) -> None:
    """A recorded case whose requests and output are what the capability does has no differences."""
    assert run_recorded_test(capability(), _case) == []


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("exchanges/0/expect/method", "PUT", "exchange 1: method"),
        ("exchanges/0/expect/url", "https://api.shop.example/v2/items", "exchange 1: url"),
        ("exchanges/0/expect/headers", {"x": "1"}, "exchange 1: header x"),
        ("exchanges/0/expect/query", {"a": "1"}, "exchange 1: query"),
        ("exchanges/0/expect/body", {"name": "salt"}, "exchange 1: body"),
        ("exchanges/0/expect/verb", "PUT", "exchange 1: unknown field"),
        ("exchanges/0/respond/status", 500, "the outcome is Failed"),
        ("exchanges", [], "one request more"),
        ("exchanges", _case["exchanges"] * 2, "1 recorded exchanges were not used"),
        ("output", {"id": 8}, "output is"),
        ("params", {}, "the outcome is Failed"),
        ("error", {"class": "invalid"}, "exactly one of"),
        ("surprise", 1, "unknown field: surprise"),
    ],
)
def test_what_differs_is_named(capability: Make, path: str, value: Any, told: str) -> None:
    """Each difference between a case and what happens is a line."""
    lines = run_recorded_test(capability(), _changed(path, value))
    assert any(line.startswith(told) for line in lines), lines


def test_an_error_case(capability: Make) -> None:
    """A case can record an error by class, wait and message; each that is named must match."""
    case = _changed(
        "exchanges/0/respond", {"status": 429, "headers": {"Retry-After": "3"}, "body": {"message": "slow"}}
    )
    del case["output"]
    case["error"] = {"class": "rate_limited", "retry_after": 3, "message": "slow"}
    assert run_recorded_test(capability(), case) == []
    case["error"]["message"] = "fast"
    assert run_recorded_test(capability(), case) == ['error.message is "slow", recorded "fast"']


def test_a_poll_case(capability: Make) -> None:
    """A case of a poll records what it emits and where the cursor stands afterwards."""
    one = capability(
        kind="trigger",
        request={"path": "/items"},
        response={"items": "{{ response.body }}"},
        poll={"key": "{{ item.id }}", "cursor": {"type": "integer", "value": "{{ item.id }}"}},
    )
    case = {
        "name": "two, one of them twice",
        "params": {"name": "x"},
        "cursor": 3,
        "exchanges": [{"expect": {"method": "GET"}, "respond": {"body": [{"id": 4}, {"id": 4}, {"id": 5}]}}],
        "emits": [{"id": 4}, {"id": 5}],
        "cursor_after": 5,
    }
    assert run_recorded_test(one, case) == []
    assert len(run_recorded_test(one, {**case, "emits": [], "cursor_after": 6})) == 2


def test_recorded_deliveries(capability: Make) -> None:
    """Deliveries of a webhook trigger are judged, mapped and compared; what differs is named by its number."""
    one = capability(
        kind="trigger",
        request=None,
        params=None,
        webhook={
            "mode": "manual",
            "verify": [{"type": "token", "value": "{{ req.headers['x-token'] }}", "secret": "{{ conn.secret.token }}"}],
            "handshake": [{"when": "req.body.ping", "respond": {"status": 200, "body": "{{ req.body.ping }}"}}],
            "filter": "req.body.on",
            "output": {"n": "{{ req.body.n }}"},
            "dedupe_key": "{{ req.body.n }}",
        },
    )
    headers = {"X-Token": "t"}
    deliveries = [
        {"headers": headers, "body": {"on": True, "n": 7}, "result": "accepted", "output": {"n": 7}, "dedupe_key": "7"},
        {"headers": headers, "body": {"on": False}, "result": "filtered"},
        {"headers": headers, "body": {"ping": "p"}, "result": "handshake", "respond": {"status": 200, "body": "p"}},
        {"headers": {"X-Token": "u"}, "body": {"on": True}, "result": "rejected"},
    ]
    test = {"name": "all four", "secret": {"token": "t"}, "deliveries": deliveries}
    assert run_recorded_test(one, test) == []
    wrong = {**deliveries[0], "output": {"n": 8}}
    assert run_recorded_test(one, {**test, "deliveries": [wrong]}) == [
        'delivery 1: output is {"n": 7}, recorded {"n": 8}'
    ]
