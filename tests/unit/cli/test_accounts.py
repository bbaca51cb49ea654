"""`taske login` and `taske user create` where no service and no database is needed."""

import io
import json
import stat
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from taske_ray.sdk.logins import login_file, read_login
from tests.unit.sdk.service import NOW

ME = {"id": "user_1", "email": "mina@example.com", "name": "", "locale": "en", "timezone": "UTC", "role": "user"}
ME |= {"status": "active", "created_at": NOW, "updated_at": NOW}
PAIR = {"access_token": "at", "token_type": "bearer", "expires_in": 600, "refresh_token": "rt"}
ANSWERS = {
    "POST /auth/login": PAIR,
    "POST /auth/api-keys": {"id": "key_1", "name": "n", "scopes": [], "created_at": NOW, "key": "tsk_new"},
    "POST /auth/logout": {},
    "GET /auth/me": ME,
}


@pytest.fixture
def auth_service():
    """A real server on loopback that knows one user: `url` and what it `received`."""
    received = []

    class Auth(BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            received.append((f"{self.command} {self.path}", self.headers.get("authorization"), body))
            content = json.dumps(ANSWERS[f"{self.command} {self.path}"]).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_): ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Auth)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()


def test_login_with_a_password_makes_a_key(taske, auth_service, monkeypatch):
    """The password makes a new API key, which is saved for its owner alone; the session ends."""
    url, received = auth_service
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert taske("login", "--url", url, "--email", "mina@example.com", "--password-stdin") == 0
    assert [call for call, _, _ in received] == [
        "POST /auth/login",
        "POST /auth/api-keys",
        "POST /auth/logout",
        "GET /auth/me",
    ]
    assert received[-1][1] == "Bearer tsk_new"
    assert read_login().api_key == "tsk_new"
    assert stat.S_IMODE(login_file().stat().st_mode) == 0o600
    assert "tsk_new" not in taske.out
    assert "mina@example.com" in taske.out


@pytest.mark.parametrize("by", ["option", "environment"])
def test_login_with_a_second_factor_without_a_terminal(taske, auth_service, monkeypatch, by):
    """The code comes as an option or in TASKE_CODE; nothing asks for it."""
    url, received = auth_service
    due = {"second_factor": {"challenge": "ch", "methods": ["totp", "recovery_code"]}}
    monkeypatch.setitem(ANSWERS, "POST /auth/login", due)
    monkeypatch.setitem(ANSWERS, "POST /auth/login/second-factor", PAIR)
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    options = ["--code", "123456"] if by == "option" else []
    if by == "environment":
        monkeypatch.setenv("TASKE_CODE", "123456")
    assert taske("login", "--url", url, "--email", "mina@example.com", "--password-stdin", *options) == 0
    assert json.loads(received[1][2]) == {"challenge": "ch", "code": "123456"}
    assert read_login().api_key == "tsk_new"


def test_login_goes_on_with_a_mailed_code(taske, auth_service, monkeypatch):
    """Without a terminal the first command names the challenge, and the second one finishes with it."""
    url, received = auth_service
    due = {"second_factor": {"challenge": "ch", "methods": ["mail"]}}
    monkeypatch.setitem(ANSWERS, "POST /auth/login", due)
    monkeypatch.setitem(ANSWERS, "POST /auth/login/second-factor", PAIR)
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert taske("login", "--url", url, "--email", "mina@example.com", "--password-stdin") == 2
    assert "--challenge ch" in " ".join(taske.err.split())
    assert taske("login", "--url", url, "--challenge", "ch", "--code", "12345678") == 0
    assert [call for call, _, _ in received][:2] == ["POST /auth/login", "POST /auth/login/second-factor"]
    assert read_login().api_key == "tsk_new"


def test_login_asks_for_another_password_where_one_is_due(taske, auth_service, monkeypatch):
    """After a theft: on a terminal the new one is asked for and set, then comes the key; else it is refused."""
    url, received = auth_service
    monkeypatch.setitem(ANSWERS, "POST /auth/login", PAIR | {"password_change_required": True})
    monkeypatch.setitem(ANSWERS, "POST /auth/password", PAIR | {"access_token": "another"})
    login = ("login", "--url", url, "--email", "mina@example.com", "--password-stdin")
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert taske(*login) == 1
    assert "another password" in taske.err
    assert [call for call, _, _ in received] == ["POST /auth/login"]
    monkeypatch.setattr("taske_ray.cli.accounts.is_terminal", lambda: True)
    monkeypatch.setattr("typer.prompt", lambda *_, **_options: "battery staple")
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert taske(*login) == 0
    asked = {call: (who, body) for call, who, body in received}
    assert json.loads(asked["POST /auth/password"][1]) == {"password": "battery staple"}
    assert asked["POST /auth/api-keys"][0] == "Bearer another"


def test_login_with_a_key(taske, auth_service, monkeypatch):
    """A key from standard input is tried and saved."""
    url, received = auth_service
    monkeypatch.setattr("sys.stdin", io.StringIO("tsk_mine\n"))
    assert taske("login", "--url", url, "--api-key-stdin") == 0
    assert [(call, who) for call, who, _ in received] == [("GET /auth/me", "Bearer tsk_mine")]
    assert read_login().url == url


@pytest.mark.parametrize(
    "arguments",
    [
        ["login", "--email", "a@example.com"],
        ["login", "--password-stdin"],
        ["login", "--api-key-stdin"],
        ["user", "create", "a@example.com"],
        ["user", "create", "a@example.com", "--password-stdin"],
    ],
)
def test_no_prompt_without_a_terminal(taske, arguments, monkeypatch):
    """What is missing is a usage error, and nothing waits for an answer that cannot come."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert taske(*arguments) == 2
