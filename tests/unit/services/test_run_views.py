"""How runs are shown: secrets masked by their place, advice beside errors, no step that outlives its run."""

from datetime import UTC, datetime
from typing import get_args
from uuid import uuid4

import pytest

from taske_ray.core.advice import advice
from taske_ray.core.outcome import ErrorClass
from taske_ray.core.redaction import MASK, redact
from taske_ray.core.template import compile_text
from taske_ray.db.history import StoredRun, StoredStep
from taske_ray.schemas.runs import StepStatus
from taske_ray.services.run_views import pending_step, run_summary, step_view

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
TIMES = {"started_at": "2026-01-05T09:00:00+00:00", "finished_at": None}


def run(**changed):
    known = dict.fromkeys(StoredRun.__dataclass_fields__)
    return StoredRun(**known | {"id": uuid4(), "task_id": uuid4(), "created_at": NOW} | changed)


def step(**changed):
    known = dict.fromkeys(StoredStep.__dataclass_fields__)
    return StoredStep(**known | {"step": 1, "key": "a", "status": "failed", "attempts": []} | changed)


def test_what_stands_in_a_secret_place_is_masked():
    """Headers and query parameters with well-known names, in every place where a run shows them; the rest stays."""
    sent = {
        "url": "https://ann:pw@api.example/?api_key=k1&q=2#x",
        "headers": {"Authorization": "Bearer x", "X-Api-Key": "k", "accept": "*/*", "Cookie": ""},
        "query": {"access_token": "t", "page": 2},
        "body": {"authorization": "a word"},
    }
    masked = {
        "url": f"https://{MASK}@api.example/?api_key={MASK}&q=2#x",
        "headers": {"Authorization": MASK, "X-Api-Key": MASK, "accept": "*/*", "Cookie": ""},
        "query": {"access_token": MASK, "page": 2},
        "body": {"authorization": "a word"},
    }
    shown = step_view(step(input=sent, output=sent, attempts=[{"number": 1, "request": sent, **TIMES}]), run())
    assert shown["input"] == shown["output"] == shown["attempts"][0]["request"] == masked
    assert run_summary(run(input=sent))["trigger_output"] == masked
    assert sent["headers"]["X-Api-Key"] == "k"


@pytest.mark.parametrize("value", [None, 1, "text", [1], {}, {"headers": 5, "query": None, "url": ["x"]}])
def test_what_has_no_such_places_stays(value):
    """Values of any other shape are shown as they are."""
    assert redact(value) == value


def test_every_class_of_errors_comes_with_advice():
    """A failed step, its attempts and its run say what to do; a run without an error says nothing."""
    for name in (*ErrorClass, "unknown"):
        error = {"class": str(name), "code": "any", "message": "no"}
        shown = step_view(step(error=error, attempts=[{"number": 1, "error": error, **TIMES}]), run())
        assert shown["error"] == shown["attempts"][0]["error"] == {**error, "hint": advice(error)}
        assert run_summary(run(error=error))["error"]["hint"]
    assert run_summary(run())["error"] is None


def test_the_advice_about_missing_values_works():
    """A default stands in for what is not there, as the advice for `template_undefined` says."""
    assert "default:" in advice({"class": "fatal", "code": "template_undefined"})
    assert compile_text("{{ trigger.output.nope.deep | default: 'nothing' }}").evaluate({"trigger": {}}) == "nothing"


@pytest.mark.parametrize(("attempts", "status"), [([], "skipped"), ([{"number": 1, **TIMES}], "failed")])
def test_a_cancelled_run_has_no_running_step(attempts, status):
    """A delay that a cancel met is skipped, a step between two attempts has failed; both end with the run."""
    over = run(status="cancelled", finished_at=NOW)
    shown = step_view(step(status="running", attempts=attempts), over)
    assert (shown["status"], shown["finished_at"]) == (status, NOW)
    assert shown["status"] in get_args(StepStatus)
    assert step_view(step(status="running"), run(status="waiting"))["status"] == "running"


def test_times_of_attempts_are_times():
    """They look like all other times of an answer."""
    assert step_view(step(attempts=[{"number": 1, **TIMES}]), run())["attempts"][0]["started_at"] == NOW


def test_actions_that_were_not_reached():
    """They are pending, by their own key or their number."""
    assert pending_step(2, {"capability": "http.request"})["key"] == "action2"
    assert pending_step(2, {"capability": "http.request", "key": "two"})["status"] == "pending"
