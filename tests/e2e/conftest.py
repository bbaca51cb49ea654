"""One whole service for the session, with an outside world of ours: stand-ins for Google and Slack, and a receiver."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from taske_ray import Taske
from taske_ray.security.vault import new_master_key
from taske_ray.standins import server
from taske_ray.standins.world import Channel, Drive, DriveFile, Slack, World
from tests.cluster.receiver import Receiver
from tests.e2e.instance import instance
from tests.e2e.parcels import parcels as parcels_service
from tests.facts import wait_until

FOLDER, CHANNEL = "0AEplanning", "C01PLANNING"
GOOGLE_TOKEN, SLACK_TOKEN = "ya29.e2e-s3cr3t", "xoxb-e2e-s3cr3t"
OPERATORS_SECRETS = {
    "TASKE_MASTER_KEY": new_master_key(),
    "TASKE_OIDC_ACME_CLIENT_SECRET": "c4nary-of-a-client-secret",
}
_OVER = ("succeeded", "failed", "cancelled", "needs_attention")


@pytest.fixture(scope="session")
def stand_ins():
    """Google with two planning documents of last week among other files, and Slack with the planning channel."""
    now = datetime.now(UTC)
    changed = [("신제품 기획서", 1), ("앱 개편 기획서", 6), ("지난 달 기획서", 30), ("회의록", 2)]
    files = [
        DriveFile(f"file-{number}", name, FOLDER, now - timedelta(days=days))
        for number, (name, days) in enumerate(changed)
    ]
    world = World(
        Drive(tokens={GOOGLE_TOKEN}, folders={FOLDER}, files=files),
        Slack(tokens={SLACK_TOKEN}, channels=[Channel(CHANNEL, "기획")], per_channel_s=0.0),
    )
    found = server.start(world=world)
    yield found
    found.stop()


@pytest.fixture(scope="session")
def receiver():
    """Any other service."""
    with Receiver() as found:
        yield found


@pytest.fixture(scope="session")
def parcels():
    """A service that nobody coded for."""
    with parcels_service() as found:
        yield found


@pytest.fixture(scope="session")
def service(stand_ins, receiver, parcels):
    """The whole service, ready; its modules point at the stand-ins."""
    settings = {
        "TASKE_DEMO_URL": stand_ins.url,
        "TASKE_EGRESS_ALLOW": f"{stand_ins.allow},{receiver.place},{parcels.allow}",
    }
    settings |= OPERATORS_SECRETS | {
        "TASKE_OIDC_ACME_CLIENT_ID": "taske",
        "TASKE_OIDC_ACME_ISSUER": f"http://{receiver.place}",
    }
    with instance(**settings) as found:
        found.settings["TASKE_PUBLIC_URL"] = found.url
        yield found.start()


@pytest.fixture(scope="session")
def admin(service):
    """An administrator's client."""
    with Api(service, service.account("admin@example.com", admin=True)) as found:
        yield found


@pytest.fixture(scope="session")
def user(service):
    """An ordinary user's client."""
    with Api(service, service.account("user@example.com")) as found:
        yield found


class Api:
    """One user's REST client."""

    def __init__(self, service, key):
        self.key = key
        self.service = service
        headers = {"authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=f"{service.url}/api/v1", headers=headers, timeout=30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def ask(self, method, path, body=None, *, status=200):
        """The JSON answer of a request that must have this status."""
        answer = self.http.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def task(self, trigger, *actions, name="a task"):
        """Save a task."""
        return self.ask("POST", "/tasks", {"name": name, "trigger": trigger, "actions": list(actions)}, status=201)

    def fire(self, task, given=None):
        """Fire by hand; the run when it is over."""
        body = None if given is None else {"input": given}
        return self.ended(self.ask("POST", f"/tasks/{task['id']}/run", body, status=202)["run_id"])

    def ended(self, run_id, within_s=60):
        """The run when it is over."""

        def over():
            run = self.ask("GET", f"/runs/{run_id}")
            return run if run["status"] in _OVER else None

        return wait_until(over, within_s, lambda: f"the end of {self.ask('GET', f'/runs/{run_id}')}")


@pytest.fixture
def sdk(service):
    """Makes an SDK client for a key."""
    return lambda key: Taske(service.url, key)
