"""The demo of `taske up --demo`: stand-ins for the providers, their logins included, and a first real run against them.

A process of its own, so that the launcher stays small: it serves the stand-ins from before the service starts until its
standard input ends, and on the line `ready` plays a user: connects, defines the task, runs it by hand, shows the run.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from taske_ray.settings import Settings

if TYPE_CHECKING:
    from taske_ray.schemas.tasks import Task
    from taske_ray.sdk.client import Taske
    from taske_ray.standins.world import World

EMAIL = "demo@example.com"
TASK_NAME = "Weekly planning documents"


@contextmanager
def playing(settings: Settings) -> Iterator[tuple[Settings, "DemoProcess"]]:
    """The settings of an instance with the demo, and the demo's process; both end with the block."""
    from taske_ray.launcher import ports

    port = ports.block(settings.data_dir.absolute() / "demo")[0]
    place = f"127.0.0.1:{port}"
    opened = settings.with_options(demo_url=f"http://{place}", egress_allow=(*settings.egress_allow, place))
    demo = DemoProcess(opened, port)
    try:
        yield opened, demo
    finally:
        demo.end()


class DemoProcess:
    """The demo's process, as the launcher sees it."""

    def __init__(self, settings: Settings, port: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "taske_ray.cli.demo", str(port)],
            env=settings.child_env(),
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is the launcher's to hear
        )

    def begin(self, _settings: Settings) -> None:
        """The service is ready: show a first run."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"ready\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """End the stand-ins."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main(port: int) -> None:
    """In the process of its own: serve, show when told, end when the input ends."""
    from taske_ray.standins import server

    stand_ins = server.start(port=port)
    if sys.stdin.readline() == "ready\n":
        show(Settings.from_env(), stand_ins.world)
        sys.stdin.read()
    stand_ins.stop()


def show(settings: Settings, world: "World") -> None:
    """Play a user's first minutes and print what a person would want to see."""
    from taske_ray.cli.output import Format, complain, say
    from taske_ray.cli.run_views import show_run
    from taske_ray.errors import TaskeError
    from taske_ray.sdk.client import Taske

    address = f"http://{settings.host}:{settings.port}"
    try:
        password = _password(settings)
        with Taske(address) as taske:
            taske.account.login(EMAIL, password)
            _register(taske, world)
            task = _applied(taske)
            say(f"\nThe demo's task, for every Monday at nine in Seoul: {task.name} ({task.id})")
            say("Running it once by hand, against stand-ins for Google Drive and Slack:\n")
            show_run(taske.tasks.run(task.id, wait=True, timeout_s=60), Format.TABLE)
    except TaskeError as error:
        complain(f"The demo did not work: {error.message}")
        return
    say(f"\nLook around:  {address}/docs   (user {EMAIL}, password {password})")
    say(f"From a shell: taske login --url {address} --email {EMAIL}   then: taske task list, taske run list")
    say(
        "Connect by consent, as at the real Google:\n"
        '  taske connection create google --auth oauth --name "My Drive" --capability google.drive.list_files'
    )
    say("Ctrl-C ends it.")


def _password(settings: Settings) -> str:
    """The demo user's password: made with the user, kept for the next start in a file of mode 0600."""
    path = settings.data_dir / "demo.json"
    if path.exists():
        kept: str = json.loads(path.read_text(encoding="utf-8"))["password"]
        return kept
    password = secrets.token_urlsafe(12)
    command = [sys.executable, "-m", "taske_ray", "user", "create", EMAIL, "--admin", "--password-stdin"]
    made = subprocess.run(command, input=password, text=True, capture_output=True, check=False)  # noqa: S603
    if made.returncode:
        from taske_ray.errors import Conflict

        raise Conflict(made.stderr.strip() or "the demo's user could not be made")
    _write_private(path, json.dumps({"email": EMAIL, "password": password}))
    return password


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def _register(taske: "Taske", world: "World") -> None:
    """The stand-ins and this service know each other, as an administrator would have arranged with the providers.

    A client that somebody has stored already stays.
    """
    known = {client.module: client.client_id for client in taske.oauth_clients.list() if client.auth == "oauth"}
    for module, player in world.players.items():
        if player.login is not None and known.get(module) in (None, player.login.client["id"]):
            client = player.login.client
            stored = taske.oauth_clients.put(module, "oauth", client["id"], client["secret"])
            player.login.redirect_uris.add(stored.redirect_uri)


def _applied(taske: "Taske") -> "Task":
    from taske_ray import action, cron, task
    from taske_ray.standins.world import demo_channel, demo_folder, demo_google_token, demo_slack_token

    known = {connection.name: connection for connection in taske.connections.list()}
    drive = known.get("Demo Drive") or taske.connections.create(
        "google", "access_token", "Demo Drive", {"token": demo_google_token}
    )
    slack = known.get("Demo Slack") or taske.connections.create(
        "slack", "bot_token", "Demo Slack", {"token": demo_slack_token}
    )
    weekly = (
        task(TASK_NAME)
        .when(cron("0 9 * * MON", timezone="Asia/Seoul", misfire="once"))
        .then(
            action(
                "google.drive.list_files",
                connection=drive,
                folder_id=demo_folder,
                name_contains="기획서",
                modified_after="{{ trigger.output.scheduled_at | date_add: '-P7D' }}",
            )
        )
        .then(
            action(
                "slack.chat.post_message",
                connection=slack,
                channel=demo_channel,
                text="지난주 수정된 기획서: {{ action1.output.fileList | map: 'name' | join: ', ' }}",
            ).options(condition="action1.output.count > 0", max_attempts=4)
        )
    )
    return taske.tasks.apply(weekly)


if __name__ == "__main__":
    main(int(sys.argv[1]))
