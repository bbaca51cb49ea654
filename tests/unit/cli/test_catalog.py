"""`taske module …` and `taske connection …` against scripted answers."""

import json

import httpx
import pytest

from taske_ray.catalog.document import parse_yaml
from tests.unit.sdk.service import NOW, ok, page, problem

SCHEME = {"id": "bot_token", "type": "bearer", "fields": {"type": "object", "required": ["token"]}}
SUMMARY = {"module": "slack", "version": 1, "name": "Slack", "origin": "catalog"}
MODULE = SUMMARY | {"auth": [SCHEME, SCHEME | {"id": "oauth", "available": False}], "capabilities": []}
CONNECTION = {"id": "conn_1", "module": "slack", "auth": "bot_token", "name": "Team", "status": "active", "fields": {}}
CONNECTION |= {"created_at": NOW, "updated_at": NOW}
SAVED = {"module": "acme", "version": 2, "changed": True, "capabilities": {"acme.ping": 1}}


def test_modules_are_listed(taske):
    """The list shows where a module comes from."""
    assert taske("module", "list", answers=[page(SUMMARY)]) == 0
    assert taske.out.splitlines()[1].split() == ["slack", "Slack", "1", "catalog", "no", "yes"]


def test_a_module_shows_its_ways_to_connect(taske):
    """Only ways that work today are named."""
    assert taske("module", "get", "slack", answers=[ok(MODULE)]) == 0
    assert "bot_token" in taske.out
    assert "oauth" not in taske.out


def test_a_module_is_applied_from_a_file(taske, tmp_path):
    """The document goes to the address of its own name."""
    file = tmp_path / "acme.yaml"
    file.write_text("module: acme\nname: Acme\ncapabilities: []\n")
    assert taske("module", "apply", "-f", str(file), answers=[ok(SAVED)]) == 0
    assert taske.service.asked == ["PUT /api/v1/admin/modules/acme"]


def test_a_change_is_shown_before_it_is_made(taske, tmp_path):
    """`diff` asks with a dry run and shows each change and the tasks that would stay behind."""
    file = tmp_path / "acme.yaml"
    file.write_text("module: acme\nname: Acme\ncapabilities: []\n")
    change = {"pointer": "/capabilities/0", "kind": "removed", "breaking": True}
    left = {"id": "task_1", "capability": "acme.ping", "version": 1}
    told = SAVED | {"changes": [change], "breaking": True, "affected_tasks": [left]}
    assert taske("module", "diff", "-f", str(file), answers=[ok(told)]) == 0
    assert taske.service.asked == ["PUT /api/v1/admin/modules/acme?draft=true&dry_run=true"]
    assert "/capabilities/0" in taske.out
    assert "task_1 (acme.ping)" in taske.out


def test_a_draft_is_written_from_a_description(taske, tmp_path):
    """`import-openapi` writes YAML that can be applied, and counts what is still to be said."""
    file = tmp_path / "api.json"
    file.write_text(json.dumps({"openapi": "3.1.0", "info": {"title": "Acme"}, "paths": {"/ping": {"get": {}}}}))
    assert taske("module", "import-openapi", str(file)) == 0
    assert parse_yaml(taske.out)["capabilities"][0]["capability"] == "acme.get_ping"
    assert "1 capabilities" in taske.err
    file.write_text("paths: {}\n")
    assert taske("module", "import-openapi", str(file)) == 1
    assert "not an OpenAPI description" in taske.err


def test_recorded_tests_of_the_catalog_pass(taske):
    """`taske module test` runs every recorded case of what ships, offline."""
    assert taske("module", "test", "-o", "json") == 0
    assert taske.service.asked == []
    assert {case["passed"] for case in json.loads(taske.out)} == {True}


def test_an_unknown_module_is_a_usage_error(taske):
    """A module that does not ship is named together with those that do."""
    assert taske("module", "test", "nope") == 2


def test_a_connection_needs_no_auth_if_there_is_one_way(taske):
    """The only available way to connect is chosen; the secret goes into the body alone."""
    answers = [ok(MODULE), ok(CONNECTION, 201)]
    assert taske("connection", "create", "slack", "--name", "Team", "--field", "token=xoxb", answers=answers) == 0
    expected = {"module": "slack", "auth": "bot_token", "name": "Team", "fields": {"token": "xoxb"}}
    assert taske.service.body() == expected
    assert "xoxb" not in taske.out + taske.err


def test_secrets_can_come_from_files(taske, tmp_path):
    """NAME=@FILE keeps a secret out of the process list."""
    (tmp_path / "token").write_text("xoxb\n")
    arguments = ["--name", "Team", "--field", f"token=@{tmp_path / 'token'}"]
    assert taske("connection", "create", "slack", *arguments, answers=[ok(MODULE), ok(CONNECTION, 201)]) == 0
    assert taske.service.body()["fields"] == {"token": "xoxb"}


@pytest.mark.parametrize("arguments", [["--auth", "oauth"], ["--field", "token"]])
def test_wrong_options(taske, arguments):
    """A way that is not offered and a field without a value are usage errors."""
    assert taske("connection", "create", "slack", "--name", "T", *arguments, answers=[ok(MODULE)]) == 2


def test_several_ways_need_a_choice(taske):
    """With two ways to connect one must be named."""
    two = MODULE | {"auth": [SCHEME, SCHEME | {"id": "other"}]}
    assert taske("connection", "create", "slack", "--name", "T", answers=[ok(two)]) == 2
    assert "bot_token, other" in taske.err


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ({"ok": True, "label": "planning"}, 0, "ok  planning"),
        ({"ok": False, "error": {"class": "auth_revoked", "message": "Connect again."}}, 1, "Connect again."),
    ],
)
def test_testing_a_connection(taske, answer, code, said):
    """A connection that does not work says why and exits 1."""
    assert taske("connection", "test", "Team", answers=[page(CONNECTION), ok(answer)]) == code
    assert said in taske.out + taske.err


def test_deleting_a_connection(taske):
    """A connection can be named."""
    assert taske("connection", "delete", "Team", answers=[page(CONNECTION), httpx.Response(204)]) == 0
    assert taske.out == "Deleted conn_1\n"


def test_a_forbidden_module_is_told(taske, tmp_path):
    """Who is no admin is told so in one line."""
    file = tmp_path / "acme.yaml"
    file.write_text("module: acme\n")
    assert taske("module", "apply", "-f", str(file), answers=[problem(403, "forbidden", "Only admins.")]) == 1
    assert taske.err == "taske: Only admins.\n"
