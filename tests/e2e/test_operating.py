"""What an administrator and an operator do while the service runs: modules, status, health, mail, following a run."""

import contextlib
import json
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.cluster.documents import weather
from tests.cluster.engine import MANUAL, post
from tests.cluster.receiver import Answer
from tests.e2e.conftest import OPERATORS_SECRETS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120, func_only=True)]


def test_a_module_put_by_an_admin_runs_within_two_seconds(admin, user, receiver):
    """A document nobody coded for: PUT by an admin, connected and run by a user who may not PUT, all within 2 s."""
    receiver.answer("/weather/today", Answer({"t": 21.5}))
    document = weather(f"http://{receiver.place}/weather")
    user.ask("PUT", "/admin/modules/weather", document, status=403)
    began = time.monotonic()
    admin.ask("PUT", "/admin/modules/weather", document)
    connection = user.ask(
        "POST",
        "/connections",
        {"module": "weather", "auth": "key", "name": "mine", "fields": {"key": "w3ather-key"}},
        status=201,
    )
    today = {"capability": "weather.today", "connection": connection["id"], "params": {"city": "서울"}}
    run = user.fire(user.task(MANUAL, today))
    assert time.monotonic() - began < 2.0
    assert run["status"] == "succeeded"
    assert run["steps"][0]["output"] == {"degrees": 21.5}
    assert receiver.at("/weather/today")[-1].headers["x-api-key"] == "w3ather-key"
    assert "w3ather-key" not in json.dumps([run, connection])


def test_health_readiness_metrics_and_documents(service, admin, user):
    """Alive, ready, documented; metrics are for admins only."""
    assert httpx.get(f"{service.url}/healthz").status_code == 200
    assert httpx.get(f"{service.url}/readyz").status_code == 200
    paths = httpx.get(f"{service.url}/openapi.json").json()["paths"]
    assert {"/auth/login", "/api/v1/tasks", "/hooks/{token}", "/healthz"} <= paths.keys()
    metrics = {
        key: httpx.get(f"{service.url}/metrics", headers={"authorization": f"Bearer {key}"})
        for key in (admin.key, user.key)
    }
    assert metrics[admin.key].status_code == 200
    assert metrics[user.key].status_code == 403
    assert httpx.get(f"{service.url}/metrics").status_code == 401


def test_no_process_is_shown_the_operators_secrets(service):
    """Neither arguments nor environments of what `taske up` starts hold them; nothing dumps core or gains rights."""
    launcher = psutil.Process(service.process.pid)
    secrets = [value.encode() for value in OPERATORS_SECRETS.values()]
    assert secrets[0] in Path(f"/proc/{launcher.pid}/environ").read_bytes()  # that is where the operator put them
    seen = 0
    for process in launcher.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            place = Path(f"/proc/{process.pid}")
            shown = (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
            assert not [secret for secret in secrets if secret in shown], process.cmdline()
            assert "NoNewPrivs:\t1" in (place / "status").read_text(), process.cmdline()
            cores = next(line for line in (place / "limits").read_text().splitlines() if "core file size" in line)
            assert cores.split()[4:6] == ["0", "0"], process.cmdline()
            seen += 1
    assert seen > 10
    files = [file for file in service.data_dir.rglob("*") if file.is_file() and "postgres" not in file.parts]
    handed = {file.name: file.stat().st_mode & 0o777 for file in files if file.parent.name == "keys"}
    assert handed == dict.fromkeys(["auth.keys", "hooks.keys", "credentials.keys"], 0o600)
    holding = {file.name for file in files if secrets[0] in file.read_bytes() or secrets[1] in file.read_bytes()}
    assert holding == {"secrets"}  # where the client secret stands; the master key stands nowhere
    assert secrets[0] not in next(file for file in files if file.name == "secrets").read_bytes()
    assert not [secret for secret in secrets if secret in service.output.read_bytes()]


def test_status_says_what_runs(service):
    """`taske status` exits 0 and names the parts, none of them open beyond this machine."""
    done = service.taske("status", "-o", "json")
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["ready"] is True
    assert seen["url"] == service.url
    assert len(seen["parts"]) > 5


def test_watch_follows_a_run_until_it_ends(service, user, receiver):
    """`taske run watch` prints each change of a run that is under way and exits 0 when it has succeeded."""
    url = receiver.serve()
    delay = {"capability": "system.delay", "params": {"for": "PT2S"}}
    task = user.task(MANUAL, delay, post(url))
    run_id = user.ask("POST", f"/tasks/{task['id']}/run", status=202)["run_id"]
    done = service.taske("run", "watch", run_id, "-o", "json", key=user.key)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[-1]["status"] == "succeeded"
    assert len(receiver.at(url)) == 1


def test_mail_stays_in_the_outbox_without_a_server(service, user):
    """Without TASKE_SMTP_URL a mail is queued and `taske mail list` shows it to the operator."""
    mail = {"to": ["min@example.com"], "subject": "주간 보고 4711", "text": "안녕하세요"}
    run = user.fire(user.task(MANUAL, {"capability": "system.email.send", "params": mail}))
    assert run["status"] == "succeeded"
    done = service.taske("mail", "list", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert "주간 보고 4711" in json.dumps(json.loads(done.stdout), ensure_ascii=False)
