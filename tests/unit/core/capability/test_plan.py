"""Plans and idempotency: what would be sent, and what may be sent again."""

from collections.abc import Callable
from typing import Any

import pytest

from taske_ray.core.capability import CallContext, Capability, ConnectionValues, idempotency_class, plan_request
from taske_ray.core.redaction import MASK
from taske_ray.errors import Invalid

Make = Callable[..., Capability]
_now = "2026-01-10T00:00:00Z"


def test_a_plan_shows_the_first_request(capability: Make) -> None:
    """A plan is the request with its encoding, secrets masked, results of first requests by name."""
    one = capability(
        auth=["token"],
        pre=[{"id": "grid", "request": {"path": "/g"}, "output": {"x": "{{ response.body.x }}"}}],
        request={
            "method": "POST",
            "path": "/items",
            "query": {"x": "{{ pre.grid.x }}"},
            "body": {"n": "{{ params.name }}"},
        },
    )
    assert plan_request(one, CallContext({"name": "bread"}, _now)) == {
        "method": "POST",
        "url": "https://api.shop.example/v1/items?x=«pre.grid.x»",
        "headers": {"authorization": MASK},
        "body": {"n": "bread"},
        "encoding": "auto",
    }


def test_a_plan_without_a_connection_stays_anonymous(capability: Make) -> None:
    """Where a capability works without a connection, its plan shows none."""
    assert plan_request(capability(), CallContext({"name": "bread"}, _now))["headers"] == {}


def test_a_plan_of_a_connection_shows_its_config(capability: Make) -> None:
    """Plain fields of a known connection are shown, secret ones are masked even if they were passed in."""
    one = capability()
    planned = plan_request(one, CallContext({"name": "n"}, _now, ConnectionValues("token", {}, {"token": "s3cret"})))
    assert "s3cret" not in str(planned)
    assert planned["headers"] == {"authorization": MASK}


def test_a_plan_that_cannot_be_built(capability: Make) -> None:
    """What would refuse the call refuses its plan."""
    one = capability(request={"path": "/{a}", "path_params": {"a": "{{ params.note }}"}})
    with pytest.raises(Invalid) as caught:
        plan_request(one, CallContext({"name": "n"}, _now))
    assert [error.code for error in caught.value.errors] == ["path_param_mismatch"]


@pytest.mark.parametrize(
    ("method", "spec", "found"),
    [
        ("GET", None, "safe"),
        ("HEAD", None, "safe"),
        ("POST", None, "ask"),
        ("{{ params.name }}", None, "ask"),
        ("POST", {"class": "keyed"}, "keyed"),
        ("POST", {"class": "{% if params.price > 5 %}ask{% else %}keyed{% endif %}"}, "keyed"),
        ("POST", {"class": "{{ params.name }}"}, "ask"),
        ("POST", {"class": "{{ params.note | plus: 1 }}"}, "ask"),
    ],
)
def test_idempotency_classes(capability: Make, method: str, spec: Any, found: str) -> None:
    """Literal reading is safe, what is written is what holds, and everything else must be asked about."""
    one = capability(request={"method": method, "path": "/items"}, idempotency=spec)
    params = one.params.fill({"name": "often", "note": "text"}, now=_now)
    assert idempotency_class(one, params, "run_1", "action1") == found
