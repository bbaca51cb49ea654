"""The example that the product began with, by each of its three doors: REST, the Python SDK, the command line.

Every Monday at 09:00 in Seoul list the files named 기획서 that changed last week, and send the list to Slack.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from taske_ray import action, cron, task
from tests.e2e.conftest import CHANNEL, FOLDER, GOOGLE_TOKEN, SLACK_TOKEN, Api
from tests.e2e.instance import PASSWORD

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120, func_only=True)]

EXAMPLES = Path(__file__).parents[2] / "examples"
SENT = "지난주 수정된 기획서: 신제품 기획서, 앱 개편 기획서"
TEXT = "지난주 수정된 기획서: {{ action1.output.fileList | map: 'name' | join: ', ' }}"
LAST_WEEK = "{{ trigger.output.scheduled_at | date_add: '-P7D' }}"


@pytest.fixture
def posted(stand_ins):
    """What Slack has received in this test."""
    stand_ins.world.slack.messages.clear()
    return stand_ins.world.slack.messages


def test_through_rest(service, posted):
    """Sign up, log in, connect, define, fire by hand: the names are posted, and no secret stands in the history."""
    account = {"email": "rest@example.com", "password": PASSWORD}
    assert httpx.post(f"{service.url}/auth/signup", json=account, timeout=20).status_code == 202
    tokens = httpx.post(f"{service.url}/auth/login", json=account, timeout=20).json()
    with Api(service, tokens["access_token"]) as api:
        drive, slack = (
            api.ask(
                "POST",
                "/connections",
                {"module": module, "auth": auth, "name": module, "fields": {"token": token}},
                status=201,
            )
            for module, auth, token in (("google", "access_token", GOOGLE_TOKEN), ("slack", "bot_token", SLACK_TOKEN))
        )
        saved = api.task(
            {
                "capability": "system.schedule.cron",
                "params": {"cron": "0 9 * * MON", "timezone": "Asia/Seoul", "misfire": "once"},
            },
            {
                "capability": "google.drive.list_files",
                "connection": drive["id"],
                "params": {"folder_id": FOLDER, "name_contains": "기획서", "modified_after": LAST_WEEK},
            },
            {
                "capability": "slack.chat.post_message",
                "connection": slack["id"],
                "if": "action1.output.count > 0",
                "params": {"channel": CHANNEL, "text": TEXT},
                "retry": {"max_attempts": 4},
                "timeout_s": 30,
            },
        )
        assert len(saved["trigger"]["next_fires"]) == 5
        run = api.fire(saved)
        assert run["status"] == "succeeded"
        assert [step["status"] for step in run["steps"]] == ["succeeded", "succeeded"]
        assert run["steps"][1]["input"]["text"] == SENT
        told(posted)
        shown = json.dumps([run, api.ask("GET", "/connections"), api.ask("GET", f"/tasks/{saved['id']}")])
        assert GOOGLE_TOKEN not in shown
        assert SLACK_TOKEN not in shown


def test_through_the_sdk(service, sdk, posted):
    """The same in Python: applied twice it is one task, and its run by hand is awaited."""
    with sdk(service.account("sdk@example.com")) as taske:
        drive = taske.connections.create("google", "access_token", "Drive", {"token": GOOGLE_TOKEN})
        slack = taske.connections.create("slack", "bot_token", "Slack", {"token": SLACK_TOKEN})
        weekly = (
            task("Weekly planning documents")
            .when(cron("0 9 * * MON", timezone="Asia/Seoul"))
            .then(
                action(
                    "google.drive.list_files",
                    connection=drive,
                    folder_id=FOLDER,
                    name_contains="기획서",
                    modified_after=LAST_WEEK,
                )
            )
            .then(action("slack.chat.post_message", connection=slack, channel=CHANNEL, text=TEXT))
        )
        saved = taske.tasks.apply(weekly)
        assert taske.tasks.apply(weekly).id == saved.id
        run = taske.tasks.run(saved.id, wait=True, timeout_s=60)
        assert run.status == "succeeded"
        assert [found.id for found in taske.runs.list(task_id=saved.id)] == [run.id]
        told(posted)


def test_the_example_script_runs(service, posted):
    """`examples/weekly_planning.py` as it is shipped does what it says."""
    environ = {
        **os.environ,
        "TASKE_URL": service.url,
        "TASKE_API_KEY": service.account("script@example.com"),
        "GOOGLE_ACCESS_TOKEN": GOOGLE_TOKEN,
        "SLACK_BOT_TOKEN": SLACK_TOKEN,
    }
    done = subprocess.run(
        [sys.executable, EXAMPLES / "weekly_planning.py"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told(posted)


def test_through_the_command_line(service, posted):
    """`examples/weekly-planning.yaml` with `taske`: log in, connect, apply, run and wait, watch, list."""
    email = "cli@example.com"
    assert service.taske("user", "create", email, "--password-stdin", given=PASSWORD).returncode == 0
    done = service.taske("login", "--email", email, "--password-stdin", given=PASSWORD)
    assert done.returncode == 0, done.stderr
    for module, auth, name, token in (
        ("google", "access_token", "Planning Drive", GOOGLE_TOKEN),
        ("slack", "bot_token", "Team Slack", SLACK_TOKEN),
    ):
        create = ("connection", "create", module, "--auth", auth, "--name", name, "--fields", "-")
        done = service.taske(*create, given=json.dumps({"token": token}))
        assert done.returncode == 0, done.stderr
    done = service.taske("task", "apply", "-f", str(EXAMPLES / "weekly-planning.yaml"))
    assert done.returncode == 0, done.stderr
    done = service.taske("task", "run", "Weekly planning documents", "--wait", "-o", "json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    assert run["status"] == "succeeded"
    told(posted)
    watched = service.taske("run", "watch", run["id"], "-o", "json")
    assert watched.returncode == 0, watched.stderr
    assert json.loads(watched.stdout.splitlines()[-1])["status"] == "succeeded"
    listed = service.taske("run", "list", "-o", "json")
    assert run["id"] in listed.stdout
    assert SLACK_TOKEN not in listed.stdout + watched.stdout + done.stdout


def told(posted):
    """The planning channel was told the two names, once."""
    assert [(message["channel"], message["text"]) for message in posted] == [(CHANNEL, SENT)]
