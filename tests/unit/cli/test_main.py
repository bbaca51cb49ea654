"""The command's manners: help, exit codes, one clear line for an error."""

import subprocess
import sys
from importlib.metadata import version

import httpx
import pytest

from tests.unit.sdk.service import TASK, page, problem

HEAVY = ("ray", "sqlalchemy", "sqlmodel", "psycopg", "alembic", "fastapi", "httpx", "pydantic_core.core_schema")


def test_help_is_light():
    """`taske --help` loads neither Ray nor a database driver nor an HTTP client."""
    code = (
        "import sys; from taske_ray.cli.main import run; assert run(['--help']) == 0; "
        f"print([name for name in {HEAVY[:-1]!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "task" in done.stdout


def test_python_dash_m():
    """`python -m taske_ray` is the same command, of the version that is installed."""
    done = subprocess.run([sys.executable, "-m", "taske_ray", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"taske {version('taske-ray')}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["task", "get"], ["task", "list", "-o", "xml"], ["task", "apply"]])
def test_wrong_usage_exits_2(taske, arguments):
    """Unknown commands, missing arguments and unknown formats are usage errors."""
    assert taske(*arguments) == 2


def test_a_refusal_is_one_line_with_pointers(taske):
    """A 422 prints what is wrong and where, on standard error, and exits 1."""
    row = {"pointer": "/actions/0/params/text", "code": "unknown_name", "message": "there is no action3"}
    assert taske("task", "get", "task_" + "0" * 32, answers=[problem(422, "invalid", "No.", errors=[row])]) == 1
    assert taske.err == "taske: No.\n  /actions/0/params/text: there is no action3\n"
    assert taske.out == ""


def test_nobody_there(taske):
    """A service that does not answer is one line that names its address."""
    assert taske("task", "list", answers=[httpx.ConnectError("refused")], retries=0) == 1
    assert taske.err.startswith("taske: No answer from http://taske.test")


def test_not_logged_in_says_what_to_do(taske):
    """A 401 names the two ways to say who is calling."""
    assert taske("task", "list", answers=[problem(401, "unauthenticated", "Who are you?")]) == 1
    assert "taske login" in taske.err
    assert "TASKE_API_KEY" in taske.err


def test_an_unexpected_failure_names_the_request(taske):
    """A 500 gives the id under which the operator finds it."""
    assert taske("task", "list", answers=[problem(500, "internal", "Broken.", request_id="req-1")], retries=0) == 1
    assert "request req-1" in taske.err


def test_foreign_text_cannot_steer_the_terminal(taske):
    """Escape sequences and direction marks in names are dropped from tables and escaped in JSON."""
    evil = TASK | {"name": "a\x1b[31mb\u202ec\x9bd\ne"}
    assert taske("task", "list", answers=[page(evil)]) == 0
    assert "a[31mbcd e" in taske.out
    assert taske("task", "list", "-o", "json", answers=[page(evil)]) == 0
    assert not set(taske.out) & set("\x1b\u202e\x9b")


@pytest.mark.parametrize("output", ["table", "json", "yaml"])
def test_every_format(taske, output):
    """A list can be printed for people and for programs."""
    import json

    import yaml

    assert taske("task", "list", "-o", output, answers=[page(TASK, cursor="c"), page(TASK | {"id": "task_2"})]) == 0
    if output == "table":
        assert taske.out.splitlines()[0].split() == ["ID", "NAME", "ENABLED", "VERSION", "TRIGGER", "NEXT"]
        assert taske.out.splitlines()[2].split()[0] == "task_2"
    else:
        rows = json.loads(taske.out) if output == "json" else yaml.safe_load(taske.out)
        assert [row["id"] for row in rows] == ["task_1", "task_2"]
        assert rows[0]["actions"][0]["if"] == "true"
