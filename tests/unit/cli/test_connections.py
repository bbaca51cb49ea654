"""`taske connection create` and `reconnect` where the user has to allow it in a browser."""

import pytest

from taske_ray.cli import connections
from tests.unit.sdk.service import NOW, ok, page

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
    assert taske("connection", "reconnect", *arguments, answers=[page(MADE), ok(BEGUN)]) == 0
    assert taske.service.body() == {"connection": "conn_1", "capabilities": ["google.gmail.send"]}
