"""`taske user`, `taske audit` and `taske account`: accounts over HTTP."""

import io
import json

import httpx
import pytest

from tests.unit.cli.test_accounts import ME, PAIR
from tests.unit.sdk.service import NOW, ok, page, problem

USER = {"id": f"user_{'0' * 32}", "email": "mina@example.com", "name": "", "role": "user", "status": "active"}
USER |= {"verified": True, "created_at": NOW, "updated_at": NOW}
ACT = {"id": "act_1", "at": NOW, "action": "task.delete", "object": "task_1", "result": "ok"}
DONE = httpx.Response(204)


def test_an_account_is_found_by_its_address_and_changed(taske):
    """The whole address is meant: another one that contains it is not asked about."""
    listed = page(USER | {"id": "user_2", "email": "xmina@example.com"}, USER)
    arguments = ["user", "change", "Mina@example.com", "--status", "disabled", "-o", "json"]
    assert taske(*arguments, answers=[listed, ok(USER | {"status": "disabled"})]) == 0
    assert taske.service.asked == ["GET /auth/users?q=Mina%40example.com", f"PATCH /auth/users/{USER['id']}"]
    assert taske.service.body() == {"status": "disabled"}
    assert json.loads(taske.out)["status"] == "disabled"
    assert taske("user", "get", "nobody@example.com", answers=[page()]) == 1
    assert taske("user", "change", USER["id"]) == 2


def test_accounts_are_listed(taske):
    """So many as asked for, by page."""
    assert taske("user", "list", "--query", "mina", "--limit", "1", answers=[page(USER, USER)]) == 0
    assert taske.out.count("mina@example.com") == 1
    assert taske("user", "list", answers=[problem(403, "admin_required", "for administrators")]) == 1
    assert "for administrators" in taske.err


def test_the_trail_of_everybody_is_filtered(taske):
    """About one account, what begins so, since then."""
    only = ["--user", USER["id"], "--action", "task", "--since", "2027-01-01T09:00:00+0900"]
    assert taske("audit", "list", *only, answers=[page(ACT)]) == 0
    query = taske.service.requests[0].url.params
    assert taske.service.requests[0].url.path == "/api/v1/admin/audit"
    assert dict(query) == {"user_id": USER["id"], "action": "task", "since": "2027-01-01T00:00:00Z"}
    assert "task.delete" in taske.out


@pytest.mark.parametrize(
    ("arguments", "answer", "asked"),
    [
        (["sessions"], page(), "GET /auth/sessions"),
        (["end-session", "session_1"], DONE, "DELETE /auth/sessions/session_1"),
        (["logins"], page(), "GET /auth/identities"),
        (["unlink", "identity_1"], DONE, "DELETE /auth/identities/identity_1"),
        (["audit", "--action", "session"], page(ACT), "GET /auth/audit?action=session"),
    ],
)
def test_one_s_own_account_needs_its_password(taske, monkeypatch, arguments, answer, asked):
    """Each command logs in as who `taske login` says, acts with that session, and ends it."""
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    answers = [ok(ME), ok(PAIR), answer, DONE]
    assert taske("account", *arguments, "--password-stdin", answers=answers) == 0
    assert taske.service.asked == ["GET /auth/me", "POST /auth/login", asked, "POST /auth/logout"]
    assert taske.service.body(1) == {"email": "mina@example.com", "password": "correct horse"}
    assert taske.service.requests[2].headers["authorization"] == "Bearer at"


def test_a_refused_command_ends_its_session_too(taske, monkeypatch):
    """What was begun for the command does not stay."""
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    answers = [ok(PAIR), problem(409, "last_way_in", "the only way"), DONE]
    arguments = ["--email", "a@example.com", "--password-stdin"]
    assert taske("account", "unlink", "identity_1", *arguments, answers=answers) == 1
    assert taske.service.asked[-1] == "POST /auth/logout"
    assert "the only way" in taske.err
