"""`taske run …` against scripted answers."""

import json

import pytest

from taske_ray.cli.output import Format
from taske_ray.cli.run_views import show_run
from taske_ray.schemas.runs import Run
from tests.unit.sdk.service import RUN, ok, page

STEP = {"key": "action1", "capability": "http.request", "status": "running", "attempts": []}
RUNNING = RUN | {"status": "running", "steps": [STEP]}
DONE = RUN | {"status": "succeeded", "steps": [STEP | {"status": "succeeded"}]}


def test_list_stops_at_the_limit(taske):
    """No more pages are read than are shown."""
    assert taske("run", "list", "--limit", "1", answers=[page(RUN, cursor="more")]) == 0
    assert taske.service.asked == ["GET /api/v1/runs?limit=1"]


def test_list_of_one_task(taske):
    """Runs can be narrowed to a status and to a task by its id."""
    task = "task_" + "a" * 32
    assert taske("run", "list", "--task", task, "--status", "failed", answers=[page()]) == 0
    assert taske.service.asked == [f"GET /api/v1/runs?task_id={task}&status=failed&limit=50"]


def test_watch_prints_each_change_once(taske):
    """Without a terminal each change is one line, and a success exits 0."""
    assert taske("run", "watch", "run_1", answers=[ok(RUN), ok(RUNNING), ok(RUNNING), ok(DONE)]) == 0
    assert taske.out.splitlines() == [
        "run_1  queued",
        "run_1  running",
        "  action1  http.request  running",
        "run_1  succeeded",
        "  action1  http.request  succeeded",
    ]


def test_watch_as_json_lines(taske):
    """With -o json each change is one line of JSON."""
    assert taske("run", "watch", "run_1", "-o", "json", answers=[ok(RUN), ok(DONE)]) == 0
    assert [json.loads(line)["status"] for line in taske.out.splitlines()] == ["queued", "succeeded"]


@pytest.mark.parametrize("status", ["failed", "cancelled", "needs_attention"])
def test_watch_exits_1_unless_it_succeeded(taske, status):
    """What did not succeed is a failure for scripts."""
    assert taske("run", "watch", "run_1", answers=[ok(RUN | {"status": status})]) == 1


def test_cancel(taske):
    """Cancelling prints the run's status then."""
    assert taske("run", "cancel", "run_1", answers=[ok({"run_id": "run_1", "status": "cancelled"})]) == 0
    assert taske.out == "run_1  cancelled\n"


def test_resolve(taske):
    """A decision is one argument; the answer says how the run goes on. Any other word is a usage error."""
    assert taske("run", "resolve", "run_1", "resend", answers=[ok({"run_id": "run_1", "status": "queued"}, 202)]) == 0
    assert (taske.service.body(0), taske.out) == ({"decision": "resend"}, "run_1  queued\n")
    assert taske("run", "resolve", "run_1", "maybe") == 2


def test_replay(taske):
    """A replay names where it begins and which version it takes."""
    answers = [ok({"run_id": "run_2"}, 202), ok(RUN | {"id": "run_2"})]
    assert taske("run", "replay", "run_1", "--from", "failed", "--version", "latest", answers=answers) == 0
    assert taske.service.body(0) == {"from": "failed", "version": "latest"}
    assert taske.out == "run_2  queued\n"


def test_a_failed_run_says_what_to_do(capsys):
    """Below its steps stands the advice that came with the error."""
    error = {"class": "permission", "code": "http_error", "message": "no", "hint": "Use another connection."}
    told = {"id": "run_1", "task_id": "task_1", "task_version": 1, "created_at": "2026-01-05T09:00:00Z", "steps": []}
    show_run(Run.model_validate({**told, "status": "failed", "error": error}), Format.TABLE)
    assert capsys.readouterr().out.splitlines()[-1] == "Use another connection."
