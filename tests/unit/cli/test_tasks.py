"""`taske task …` against scripted answers."""

import json

import pytest
import yaml

from tests.unit.sdk.service import NOW, RUN, TASK, ok, page, problem

ID = "task_" + "1" * 32
SAVED = TASK | {"id": ID}
CONNECTION = {"id": "conn_1", "module": "slack", "auth": "bot_token", "name": "Team", "status": "active", "fields": {}}
CONNECTION |= {"created_at": NOW, "updated_at": NOW}
STEP = {"key": "action1", "capability": "http.request", "status": "failed", "output": None, "attempts": []}
FAILED = RUN | {
    "status": "failed",
    "started_at": NOW,
    "finished_at": NOW,
    "steps": [STEP | {"error": {"class": "permission", "message": "Not allowed: share the folder."}}],
}
FILE = """
name: Weekly
trigger: {capability: system.manual}
actions:
  - capability: slack.chat.post_message
    connection: Team
    params: {channel: C01, text: "{{ trigger.output.note }}"}
"""


@pytest.fixture
def weekly(tmp_path):
    """A task file that names its connection."""
    file = tmp_path / "weekly.yaml"
    file.write_text(FILE)
    return str(file)


def test_apply_resolves_connection_names(taske, weekly):
    """A connection may be named in a file; what is sent has its id."""
    answers = [page(CONNECTION), page(), ok(SAVED, 201)]
    assert taske("task", "apply", "-f", weekly, answers=answers) == 0
    assert taske.service.body()["actions"][0]["connection"] == "conn_1"
    assert ID in taske.out


def test_apply_from_standard_input(taske, monkeypatch):
    """`-` reads the document from standard input."""
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO('{"name": "Weekly", "trigger": {"capability": "system.manual"}}'))
    assert taske("task", "apply", "-f", "-", "-o", "json", answers=[page(), ok(SAVED, 201)]) == 0
    assert json.loads(taske.out)[0]["id"] == ID


def test_a_webhook_address_is_shown(taske, weekly):
    """Applying a webhook task shows where to send deliveries."""
    hooked = SAVED | {"trigger": SAVED["trigger"] | {"hook_url": "http://x/hooks/abc"}}
    assert taske("task", "apply", "-f", weekly, answers=[page(CONNECTION), page(), ok(hooked, 201)]) == 0
    assert "http://x/hooks/abc" in taske.out


@pytest.mark.parametrize(("text", "code"), [("a: [", 1), ("- a", 1), (None, 2)])
def test_files_that_make_no_sense(taske, tmp_path, text, code):
    """A document that does not parse is refused with its name, a file that is not there is a usage error."""
    file = tmp_path / "task.yaml"
    if text is not None:
        file.write_text(text)
    assert taske("task", "apply", "-f", str(file)) == code
    assert "task.yaml" in taske.err


def test_names_are_looked_up(taske):
    """A task can be given by its exact name."""
    assert taske("task", "get", "Weekly", answers=[page(SAVED | {"name": "weekly"}, SAVED), ok(SAVED)]) == 0
    assert taske.service.asked[1] == f"GET /api/v1/tasks/{ID}"


def test_ambiguous_names_are_refused(taske):
    """Two tasks of one name need an id."""
    assert taske("task", "get", "Weekly", answers=[page(SAVED, SAVED | {"id": "task_2"})]) == 1
    assert "Use an id" in taske.err


def test_unknown_names_are_refused(taske):
    """A name that nobody has is not found."""
    assert taske("task", "delete", "Nope", answers=[page()]) == 1
    assert taske.err == "taske: There is no task named 'Nope'.\n"


def test_run_and_wait_shows_the_steps(taske):
    """A failed run prints its steps with what to do, and exits 1."""
    answers = [ok({"run_id": "run_1"}, 202), ok(FAILED)]
    assert taske("task", "run", ID, "--input", '{"note": "x"}', "--wait", answers=answers) == 1
    assert taske.service.body(0) == {"input": {"note": "x"}}
    assert "permission: Not allowed: share the folder." in taske.out


def test_run_without_waiting(taske):
    """Without --wait the run is printed as it is, and that is a success."""
    assert taske("task", "run", ID, answers=[ok({"run_id": "run_1"}, 202), ok(RUN)]) == 0
    assert taske.out == "run_1  queued\n"


@pytest.mark.parametrize("text", ["{", "[1]", '"x"'])
def test_input_must_be_an_object(taske, text):
    """A trigger output is a JSON object; anything else is a usage error."""
    assert taske("task", "run", ID, "--input", text) == 2


@pytest.mark.parametrize("way", ["enable", "disable"])
def test_switching(taske, way):
    """Enabling and disabling print the task as it is then."""
    assert taske("task", way, ID, answers=[ok(SAVED)]) == 0
    assert taske.service.asked == [f"POST /api/v1/tasks/{ID}/{way}"]


def test_a_rotated_hook_is_printed(taske):
    """The new address alone, so that a script can pass it on."""
    saved = SAVED | {"trigger": SAVED["trigger"] | {"hook_url": "http://x/hooks/new"}}
    assert taske("task", "rotate-hook", ID, answers=[ok(saved)]) == 0
    assert taske.service.asked == [f"POST /api/v1/tasks/{ID}/rotate-hook"]
    assert taske.out == "http://x/hooks/new\n"


def test_delete_says_what_it_deleted(taske):
    """Deleting asks nothing and names the task."""
    import httpx

    assert taske("task", "delete", ID, answers=[httpx.Response(204)]) == 0
    assert taske.out == f"Deleted {ID}\n"


def test_export_can_be_applied_again(taske):
    """What is exported has no ids, versions or times, and reads back as the same definition."""
    assert taske("task", "export", ID, answers=[ok(SAVED)]) == 0
    document = yaml.safe_load(taske.out)
    assert document == {
        "name": "Weekly",
        "enabled": True,
        "overlap": "allow",
        "trigger": {"capability": "system.manual", "params": {}},
        "actions": [{"capability": "system.delay", "params": {"for": "PT1S"}, "if": "true"}],
    }


SAME = {"name": "Weekly", "trigger": {"capability": "system.manual", "params": {}}, "actions": TASK["actions"]}
FULL = SAVED | {"actions": [TASK["actions"][0] | {"on_error": "stop", "timeout_s": 30, "retry": {"max_attempts": 5}}]}


@pytest.mark.parametrize(
    ("wanted", "code", "line"),
    [
        (SAME, 0, None),
        (SAME | {"enabled": False}, 1, "+enabled: false"),
        (SAME | {"actions": []}, 1, "-- capability: system.delay"),
        (SAME | {"actions": [{"capability": "system.delay", "params": {}, "if": "true"}]}, 1, "-    for: PT1S"),
        (SAME | {"actions": [{"capability": "system.delay", "params": {"for": "PT1S"}}]}, 1, "-  if: 'true'"),
    ],
)
def test_diff(taske, tmp_path, wanted, code, line):
    """A diff shows what would change and exits 1 if anything; settings left to their defaults are no change."""
    file = tmp_path / "task.yaml"
    file.write_text(yaml.safe_dump(wanted))
    assert taske("task", "diff", "-f", str(file), answers=[page(FULL)]) == code
    assert (line in taske.out.splitlines()) if line else taske.out == ""


def test_a_lost_update_is_told(taske, weekly):
    """If somebody changed the task at the same moment, apply says so instead of overwriting it."""
    answers = [page(CONNECTION), page(SAVED), ok(SAVED, etag='"3"'), problem(412, "precondition_failed", "Changed.")]
    assert taske("task", "apply", "-f", weekly, answers=answers) == 1
    assert taske.err == "taske: Changed.\n"


def test_backfill_tells_what_it_did(taske):
    """A range with zones is sent as it is meant, and the counts are shown."""
    arguments = ["--from", "2027-01-01T00:00:00+0900", "--until", "2027-01-02T00:00:00Z", "-o", "json"]
    assert taske("task", "backfill", ID, *arguments, answers=[ok({"runs": 3, "skipped": 4}, 202)]) == 0
    assert taske.service.body() == {"from": "2026-12-31T15:00:00+00:00", "until": "2027-01-02T00:00:00+00:00"}
    assert json.loads(taske.out)["runs"] == 3
