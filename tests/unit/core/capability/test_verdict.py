"""What an answer means: error rules, success, the status table, messages and waits."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from taske_ray.core.capability import Capability, RateHeaders, learned_wait
from taske_ray.core.capability.exchange.verdict import by_status, read_wait
from taske_ray.core.http import HttpResponse
from taske_ray.core.outcome import ErrorClass, Failed, Succeeded

Make = Callable[..., Capability]
Play = Callable[..., Any]
_now = datetime(2026, 1, 10, tzinfo=UTC)


def _json(status: int, body: str, **headers: str) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpResponse(status, {"content-type": "application/json", **named}, body.encode())


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (429, "rate_limited"),
        (403, "permission"),
        (404, "not_found"),
        (410, "not_found"),
        (409, "conflict"),
        (400, "invalid"),
        (422, "invalid"),
        (304, "invalid"),
        (302, "invalid"),
        (408, "transient"),
        (425, "transient"),
        (500, "transient"),
        (503, "transient"),
        (599, "transient"),
    ],
)
def test_the_status_table(status: int, error_class: str) -> None:
    """Without a rule, the status decides."""
    assert by_status(status) == error_class


def test_an_unknown_caller(capability: Make, talk: Play) -> None:
    """A 401 is an expired authorisation with a connection, and a missing permission without one."""
    assert talk(capability(), 401, params={"name": "x"}).outcome.error_class is ErrorClass.PERMISSION
    outcome = talk(capability(), 401, params={"name": "x"}, connection={"token": "s3cret"}).outcome
    assert outcome.error_class is ErrorClass.AUTH_EXPIRED


def test_the_capability_judges_before_the_module(capability: Make, talk: Play) -> None:
    """The first rule whose condition holds wins: those of the capability, then the module's, then `success`."""
    one = capability(
        module={"errors": [{"when": "response.body.code", "class": "conflict"}]},
        errors=[{"when": "response.body.code == 7", "class": "not_found", "message": "no {{ response.body.what }}"}],
        response={"success": "response.body.ok"},
    )

    def judge(body: str, status: int = 200) -> Any:
        return talk(one, _json(status, body), params={"name": "x"}).outcome

    found = judge('{"code":7,"what":"bread"}')
    assert (found.error_class, found.message, found.code) == (ErrorClass.NOT_FOUND, "no bread", "service_error")
    assert judge('{"code":8}').error_class is ErrorClass.CONFLICT
    assert judge("{}").error_class is ErrorClass.INVALID
    assert judge("{}", 503).code == "http_error"
    assert isinstance(judge('{"ok":true}', 418), Succeeded)


def test_an_ignored_error_is_a_success(capability: Make, talk: Play) -> None:
    """The class `ignore` counts as success, and the output is computed."""
    one = capability(errors=[{"when": "response.status == 404", "class": "ignore"}])
    assert talk(one, _json(404, '{"gone":1}'), params={"name": "x"}).outcome.output == {"gone": 1}


def test_a_condition_that_fails_is_fatal(capability: Make, talk: Play) -> None:
    """A condition that cannot be evaluated is an error, never just false."""
    one = capability(response={"success": "response.body.n > 3"})
    outcome = talk(one, {"n": "text"}, params={"name": "x"}).outcome
    assert (outcome.error_class, outcome.code) == (ErrorClass.FATAL, "template_type")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"error":{"message":"a"},"message":"b"}', "a"),
        ('{"message":"b","error":"d"}', "b"),
        ('{"error":"d","error_description":"c"}', "c"),
        ('{"error":"d","detail":"e"}', "d"),
        ('{"detail":"e"}', "e"),
        ('{"detail":{"deep":1}}', "the service answered 400"),
        ('["text"]', "the service answered 400"),
    ],
)
def test_where_a_message_is_found(capability: Make, talk: Play, body: str, message: str) -> None:
    """The service's own words come from the usual places, in order."""
    assert talk(capability(), _json(400, body), params={"name": "x"}).outcome.message == message


def test_a_message_is_masked_before_it_is_cut(capability: Make, talk: Play) -> None:
    """A secret at the end of a long message is gone, not halved."""
    body = '{"message":"' + "x" * 496 + 's3cret!"}'
    outcome = talk(capability(), _json(400, body), params={"name": "x"}, connection={"token": "s3cret!"}).outcome
    assert outcome.message == "x" * 496 + "••••"


def test_a_wait_from_the_service(capability: Make, talk: Play) -> None:
    """A rule's own wait comes before the header, the header before what the counters say."""
    one = capability(
        module={"rate_headers": {"remaining": "X-Left", "reset": "X-Reset", "unit": "s"}},
        errors=[{"when": "response.status == 429", "class": "rate_limited", "retry_after": "{{ response.body.wait }}"}],
    )

    def wait(body: str, **headers: str) -> float | None:
        outcome = talk(one, _json(429, body, **headers), params={"name": "x"}).outcome
        assert isinstance(outcome, Failed)
        return outcome.retry_after_s

    assert wait('{"wait":2.5}', retry_after="9") == 2.5
    assert wait("{}", retry_after="9") == 9
    assert wait("{}", x_left="0", x_reset="11") == 11
    assert wait("{}") is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (7, 7.0),
        ("Sat, 10 Jan 2026 00:01:00 GMT", 60.0),
        ("Fri, 09 Jan 2026 00:00:00 GMT", 0.0),
        (-3, 0.0),
        ("soon", None),
        ("nan", None),
        (None, None),
        (True, None),
        ([], None),
        ("1e400", 366 * 86_400.0),
    ],
)
def test_waits(value: Any, seconds: float | None) -> None:
    """Seconds and HTTP dates are waits, never negative and never endless; anything else is none."""
    assert read_wait(value, _now) == seconds


@pytest.mark.parametrize(
    ("unit", "reset", "seconds"),
    [
        ("epoch_s", str(int(_now.timestamp()) + 30), 30.0),
        ("s", "1.5", 1.5),
        ("ms", "1500", 1.5),
        ("go_duration", "6m0s", 360.0),
        ("go_duration", "20ms", 0.02),
        ("go_duration", "1h2m3.5s", 3723.5),
        ("go_duration", "later", None),
        ("s", "later", None),
    ],
)
def test_what_counters_say(unit: str, reset: str, seconds: float | None) -> None:
    """The reset of a counter at zero is a wait in its unit; while something remains there is none."""
    spec = RateHeaders("left", "reset", unit)
    assert learned_wait({"left": "0", "reset": reset}, spec, _now) == seconds
    assert learned_wait({"left": "1", "reset": reset}, spec, _now) is None
    assert learned_wait({}, spec, _now) is None
