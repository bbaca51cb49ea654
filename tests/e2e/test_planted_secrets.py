"""Forty characters in every kind of secret, used in every way, and then looked for everywhere (security, 19.2)."""

import base64
import contextlib
import json
import secrets
from pathlib import Path
from urllib.parse import quote

import httpx
import psycopg
import pyotp
import pytest

from taske_ray import Taske
from taske_ray.db.embedded import EmbeddedPostgres
from taske_ray.launcher.data_dir import DataDir
from tests.cluster.engine import MANUAL
from tests.cluster.receiver import Answer
from tests.e2e.conftest import OPERATORS_SECRETS, Api

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180, func_only=True)]
EMAIL = "planter@example.com"


class Garden:
    """What was planted: `secret` by kind, and `plain`, which is no secret and must be found where it belongs."""

    def __init__(self):
        self.secret = {}
        self.plain = f"plain-{secrets.token_urlsafe(30)}"

    def plant(self, kind):
        """A new secret of a kind."""
        return self.keep(kind, secrets.token_urlsafe(30))

    def keep(self, kind, value):
        """A secret that the service has made."""
        self.secret[kind] = value
        return value

    def seen(self, content):
        """The kinds that `content` (bytes) shows, raw or encoded."""
        return sorted(kind for kind, value in self.secret.items() if any(each in content for each in _spelled(value)))


def _spelled(value):
    """A text as it is, in hexadecimal, in a URL, and in Base64 after any number of other bytes."""
    raw = value.encode()
    based = [base64.b64encode(b"x" * before + raw) for before in range(3)]
    return {raw, raw.hex().encode(), quote(value, safe="").encode(), *(each[4:-4] for each in based)}


def _account(service, garden):
    """A user with codes, a changed password, mistyped ones and a login from before."""
    first, second = garden.plant("old password"), garden.plant("password")
    sent = httpx.post(f"{service.url}/auth/signup", json={"email": EMAIL, "password": first}, timeout=20)
    assert sent.status_code == 202, sent.text
    login = {"email": EMAIL, "password": garden.plant("mistyped password")}
    assert httpx.post(f"{service.url}/auth/login", json=login, timeout=20).status_code == 401
    with Taske(service.url) as taske:
        pair = taske.account.login(EMAIL, first)
        garden.keep("old access token", pair.access_token)
        garden.keep("old refresh token", pair.refresh_token)
        pair = taske.account.change_password(second)
        garden.keep("access token", pair.access_token)
        garden.keep("refresh token", pair.refresh_token)
        seed = garden.keep("one-time code's seed", taske.account.begin_totp().secret)
        for number, code in enumerate(taske.account.confirm_totp(pyotp.TOTP(seed).now())):
            garden.keep(f"recovery code {number}", code)
        taske.account.forgot_password(EMAIL)
        return garden.keep("API key", taske.api_keys.create("planter").key)


def _runs(user, garden, receiver):
    """Runs whose service tells everything it was told: in a success, in an error, in what is no JSON."""
    fields = {
        "bearer": {"token": garden.plant("bearer token")},
        "basic": {"username": "mina", "password": garden.plant("basic password")},
        "header": {"headers": {"x-shop": garden.plant("secret header")}},
    }
    for auth, values in fields.items():
        body = {"module": "http", "auth": auth, "name": auth, "fields": values | {"hosts": [receiver.place]}}
        connection = user.ask("POST", "/connections", body, status=201)["id"]
        told = [*values.values(), base64.b64encode(json.dumps(values).encode()).decode()]
        echoes = [{"plain": garden.plain, "told": told, str(told): 1}]
        for answer in (Answer(echoes), Answer(echoes, status=400), Answer(raw=f"<p>{garden.plain} {told}".encode())):
            params = {"method": "POST", "url": receiver.serve(answer)}
            step = {"capability": "http.request", "connection": connection, "params": params}
            yield user.fire(user.task(MANUAL, step | {"retry": {"max_attempts": 1}}, name="planted"))["id"]


def _deliveries(service, user, garden):
    """A webhook with credentials on it, and the same at addresses that do not exist."""
    task = user.task({"capability": "system.webhook"}, {"capability": "system.delay", "params": {"for": "PT0.1S"}})
    url = task["trigger"]["hook_url"]
    garden.keep("hook token", url.rpartition("/")[2])
    headers = {"authorization": f"Bearer {garden.plant('credential of a delivery')}"}
    headers["cookie"] = f"session={garden.plant('cookie of a delivery')}"
    sent = httpx.post(url, json={"plain": garden.plain}, headers=headers, timeout=20)
    assert sent.status_code == 202, sent.text
    user.ended(sent.json()["run_id"])
    wrong = garden.plant("made-up token")
    assert httpx.post(f"{service.url}/hooks/{wrong}", json={}, timeout=20).status_code == 404
    stray = {"authorization": f"Bearer {wrong}"}
    address = f"{service.url}/api/v1/tasks?token={garden.plant('token in a query')}"
    assert httpx.get(address, headers=stray, timeout=20).status_code == 401


def _answers(service, admin, user, runs):
    """What an owner, an administrator and the command line are shown afterwards, less a hook's address."""
    pages = ["/runs", "/connections", *(f"/runs/{run}" for run in runs)]
    shown = [user.http.get(path).content for path in pages]
    tasks = [user.ask("GET", f"/runs/{run}")["task_id"] for run in runs]
    shown += [user.http.get(f"/tasks/{task}/explain").content for task in tasks]
    shown += [admin.http.get(path).content for path in ("/admin/audit", "/admin/connections", "/admin/oauth-clients")]
    for path in ("/auth/audit", "/auth/me", "/auth/api-keys", "/auth/sessions", "/metrics"):
        for client in (user, admin):
            headers = {"authorization": f"Bearer {client.key}"}
            shown.append(httpx.get(f"{service.url}{path}", headers=headers, timeout=20).content)
    for command in (("status",), ("mail", "list"), ("run", "show", runs[0]), ("connection", "list")):
        done = service.taske(*command, "-o", "json", key=user.key)
        shown.append((done.stdout + done.stderr).encode())
    return b"".join(shown)


def _database(service):
    """Every row of every table, as text."""
    with psycopg.connect(EmbeddedPostgres(service.data_dir).url, autocommit=True) as connection:
        here = "relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
        tables = connection.execute(f"SELECT oid::regclass::text FROM pg_class WHERE {here}").fetchall()
        return "".join(
            str(row[0]) for (table,) in tables for row in connection.execute(f"SELECT t::text FROM {table} t")
        ).encode()


def _files(service):
    """What stands in the data directory, Ray's session and the command's output, less where secrets are handed over."""
    places = (service.data_dir, DataDir(service.data_dir).run_dir)
    handed = {"secrets", "auth.keys", "hooks.keys", "credentials.keys"}
    files = {file for place in places for file in place.rglob("*") if file.is_file() and not file.is_symlink()}
    content = [service.output.read_bytes()]
    for file in sorted(files):
        if file.name not in handed:
            with contextlib.suppress(OSError):  # gone meanwhile, or a socket
                content.append(file.read_bytes())
    return b"".join(content)


def _arguments(service):
    """The command line of everything that runs."""
    content = []
    for process in service.processes():
        with contextlib.suppress(OSError):
            content.append(Path(f"/proc/{process.pid}/cmdline").read_bytes())
    assert len(content) > 10
    return b"".join(content)


def test_planted_secrets_are_nowhere(service, admin, receiver):
    """Used in logins, calls, echoes and deliveries, no secret is found in answers, rows, files, logs or arguments."""
    garden = Garden()
    for name, value in OPERATORS_SECRETS.items():
        garden.keep(name, value)
    with Api(service, _account(service, garden)) as user:
        runs = list(_runs(user, garden, receiver))
        _deliveries(service, user, garden)
        places = {
            "answers": _answers(service, admin, user, runs),
            "database": _database(service),
            "files": _files(service),
            "arguments": _arguments(service),
        }
    assert len(garden.secret) > 20
    assert {place: garden.seen(content) for place, content in places.items()} == {place: [] for place in places}
    found = {place for place, content in places.items() if garden.plain.encode() in content}
    assert {"answers", "database"} <= found  # the search finds what is there
    assert runs[0].encode() in places["files"]
