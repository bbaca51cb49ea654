"""`taske connection …`, above all where a browser is needed, and `taske oauth-client …`."""

import io
from pathlib import Path

import httpx
import pytest

from taske_ray.cli import connections
from tests.unit.sdk.service import NOW, ok, page, problem

ADDRESS = "https://login.example/authorize?state=x"
MODULE = {"module": "google", "version": 1, "name": "Google", "origin": "catalog", "capabilities": []}
MODULE |= {"auth": [{"id": "oauth", "type": "oauth2_code", "fields": {"type": "object"}, "consent": True}]}
BEGUN = {"id": "authorization_1", "connection": "conn_1", "module": "google", "auth": "oauth", "name": "Drive"}
BEGUN |= {"scopes": ["a"], "status": "pending", "expires_at": NOW, "authorize_url": ADDRESS, "redirect_uri": "x"}
MADE = {"id": "conn_1", "module": "google", "auth": "oauth", "name": "Drive", "status": "active", "fields": {}}
MADE |= {"created_at": NOW, "updated_at": NOW, "label": "ali@example.com"}


@pytest.fixture
def somebody(monkeypatch):
    """A person at a terminal, who is not waited for."""
    monkeypatch.setattr(connections, "is_terminal", lambda: True)
    monkeypatch.setattr(connections, "_LOOK_AGAIN_S", 0)


def test_without_a_terminal_the_address_is_printed(taske):
    """A script gets the address, and goes on."""
    arguments = ["--name", "Drive", "--capability", "google.drive.list_files"]
    assert taske("connection", "create", "google", *arguments, answers=[ok(MODULE), ok(BEGUN)]) == 0
    assert taske.out == f"{ADDRESS}\n"
    expected = {"module": "google", "auth": "oauth", "name": "Drive", "fields": {}}
    assert taske.service.body() == expected | {"capabilities": ["google.drive.list_files"]}


@pytest.mark.usefixtures("somebody")
def test_with_a_terminal_it_waits(taske):
    """The command ends when the user has allowed it, and shows the connection."""
    answers = [ok(MODULE), ok(BEGUN), ok(BEGUN), ok(BEGUN | {"status": "succeeded"}), ok(MADE)]
    assert taske("connection", "create", "google", "--name", "Drive", answers=answers) == 0
    assert "ali@example.com" in taske.out


@pytest.mark.usefixtures("somebody")
@pytest.mark.parametrize(
    ("became", "said"),
    [
        ({"status": "failed", "error": {"code": "access_denied", "message": "The provider said no."}}, "said no"),
        ({"status": "expired"}, "in time"),
    ],
)
def test_a_consent_that_comes_to_nothing(taske, became, said):
    """Why is told, and the exit code is 1."""
    answers = [ok(MODULE), ok(BEGUN), ok(BEGUN | became)]
    assert taske("connection", "create", "google", "--name", "Drive", answers=answers) == 1
    assert said in taske.err


def test_a_connection_is_allowed_again(taske):
    """By its name, with what it had and what is named besides."""
    arguments = ["Drive", "--capability", "google.gmail.send"]
    assert taske("connection", "reconnect", *arguments, answers=[page(MADE), ok(MADE), ok(MODULE), ok(BEGUN)]) == 0
    assert taske.service.body() == {"connection": "conn_1", "capabilities": ["google.gmail.send"]}


KEYED = MADE | {"id": f"conn_{'0' * 32}", "module": "slack", "auth": "bot_token", "name": "Team"}
TOKEN = {"type": "object", "required": ["token"], "properties": {"token": {"type": "string", "x-secret": True}}}
SLACK = MODULE | {"module": "slack", "auth": [{"id": "bot_token", "type": "bearer", "fields": TOKEN}]}


def test_a_connection_made_from_fields_gets_new_ones(taske, monkeypatch):
    """`reconnect` asks for the secret at a terminal; a script is told to use `update`, which sends what is given."""
    Path("token.txt").write_text("xoxb-new\n", encoding="utf-8")
    arguments = ("connection", "update", KEYED["id"], "--name", "Crew", "--field", "token=@token.txt")
    assert taske(*arguments, answers=[ok(KEYED)]) == 0
    assert taske.service.body() == {"name": "Crew", "fields": {"token": "xoxb-new"}}
    assert taske("connection", "reconnect", "Team", answers=[page(KEYED), ok(KEYED), ok(SLACK)]) == 2
    assert "connection update" in taske.err
    monkeypatch.setattr(connections, "is_terminal", lambda: True)
    monkeypatch.setattr(connections.typer, "prompt", lambda *_, **__: "xoxb-typed")
    assert taske("connection", "reconnect", "Team", answers=[page(KEYED), ok(KEYED), ok(SLACK), ok(KEYED)]) == 0
    assert taske.service.body() == {"fields": {"token": "xoxb-typed"}}


def test_connections_of_the_instance(taske):
    """`--instance` means them; the id in a mail is looked for there, and is missing for whoever may not look."""
    assert taske("connection", "list", "--instance", answers=[page(KEYED)]) == 0
    assert taske.service.requests[-1].url.path == "/api/v1/admin/connections"
    assert taske("connection", "test", KEYED["id"], "--instance", answers=[ok({"ok": True, "label": "team"})]) == 0
    assert taske.service.requests[-1].url.path == f"/api/v1/admin/connections/{KEYED['id']}/test"
    consent = KEYED | {"module": "google", "auth": "oauth"}
    missing = problem(404, "not_found")
    assert taske("connection", "reconnect", KEYED["id"], answers=[missing, ok(consent), ok(MODULE), ok(BEGUN)]) == 0
    assert taske.service.requests[-1].url.path == "/api/v1/admin/connections/authorize"
    assert taske("connection", "reconnect", KEYED["id"], answers=[missing, problem(403, "forbidden")]) == 1
    assert "no connection" in taske.err


CLIENT = {"module": "google", "auth": "oauth", "client_id": "me", "client_secret": "••••cret"}
CLIENT |= {"redirect_uri": "https://taske.example/api/v1/connections/callback", "created_at": NOW, "updated_at": NOW}


def test_oauth_clients(taske, monkeypatch):
    """Stored with a secret from standard input, listed with where to come back to, forgotten; never in an argument."""
    monkeypatch.setattr("sys.stdin", io.StringIO("the-s3cret\n"))
    arguments = ("oauth-client", "set", "google", "--client-id", "me")
    assert taske(*arguments, "--secret-stdin", answers=[ok(MODULE), ok(CLIENT)]) == 0
    assert taske.service.body() == {"client_id": "me", "client_secret": "the-s3cret"}
    assert taske.service.requests[-1].url.path == "/api/v1/admin/oauth-clients/google/oauth"
    assert CLIENT["redirect_uri"] in taske.out
    assert taske(*arguments, "--public", answers=[ok(MODULE), ok(CLIENT)]) == 0
    assert taske.service.body() == {"client_id": "me"}
    assert taske(*arguments) == 2
    assert taske("oauth-client", "list", answers=[ok({"items": [CLIENT]})]) == 0
    assert taske("oauth-client", "delete", "google", "--auth", "oauth", answers=[httpx.Response(204)]) == 0
    assert taske("oauth-client", "set", "slack", "--client-id", "me", "--public", answers=[ok(SLACK)]) == 2
