"""A service whose keys are changed while it works, by a command that is killed; and one that is made to call itself."""

import subprocess
import threading

import psycopg
import pytest

from taske_ray.clock import new_id
from taske_ray.db.embedded import EmbeddedPostgres
from taske_ray.db.rotation import sealed_columns
from taske_ray.integrations.credentials import open_credentials
from taske_ray.security.credentials import seal_credentials
from taske_ray.security.sealed import WrappedKey
from taske_ray.security.vault import Keyring, purpose_keys, read_master_key
from taske_ray.services.master_key import read_master_keys
from taske_ray.settings import Settings
from tests.cluster.engine import MANUAL
from tests.cluster.receiver import Answer, Receiver
from tests.e2e.conftest import Api
from tests.e2e.instance import TASKE, instance
from tests.facts import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240, func_only=True)]
PLANTED, TOKEN = 2_000, "t0ken-that-survives"


@pytest.fixture(scope="module")
def other():
    """Any other service."""
    with Receiver() as found:
        yield found


@pytest.fixture(scope="module")
def own(other):
    """A service that makes its own master key, and that may call itself."""
    with instance() as found:
        found.settings["TASKE_EGRESS_ALLOW"] = f"{other.place},127.0.0.1:{found.port}"
        yield found.start()


@pytest.fixture(scope="module")
def owner(own):
    """An ordinary user's client."""
    with Api(own, own.account("owner@example.com")) as found:
        yield found


@pytest.fixture
def rows(own):
    """The database, as its superuser."""
    with psycopg.connect(EmbeddedPostgres(own.data_dir).url, autocommit=True) as found:
        yield found


def connect(user, place, token):
    """A connection that sends this token to this place alone."""
    body = {"module": "http", "auth": "bearer", "name": place, "fields": {"token": token, "hosts": [place]}}
    return user.ask("POST", "/connections", body, status=201)["id"]


def plant(rows, settings):
    """Many users with a sealed credential each: (connection, its secret) by user."""
    ring, planted = read_master_keys(settings).keyring(), {}
    users, keys, connections = [], [], []
    for number in range(PLANTED):
        user, connection = new_id(), new_id()
        key = ring.new_data_key(new_id(), user, "credentials", 1)
        wrapped = ring.wrap(key)
        planted[connection] = {"token": f"secret {number}"}
        users.append((user, f"{user}@example.com"))
        keys.append((key.id, user, "credentials", 1, wrapped.kek_id, wrapped.wrapped))
        connections.append((connection, user, key.id, seal_credentials(key, connection, planted[connection])))
    with rows.cursor() as cursor:
        cursor.executemany("INSERT INTO users (id, email) VALUES (%s, %s)", users)
        names = "id, user_id, purpose, version, kek_id, wrapped"
        cursor.executemany(f"INSERT INTO data_keys ({names}) VALUES (%s, %s, %s, %s, %s, %s)", keys)
        names = "id, user_id, module, auth, name, data_key, sealed"
        values = "%s, %s, 'http', 'bearer', 'x', %s, %s"
        cursor.executemany(f"INSERT INTO connections ({names}) VALUES ({values})", connections)
    return planted


class Load:
    """Runs that need a credential, fired one after another while something else goes on."""

    def __init__(self, user, task):
        self.user, self.task, self.run_ids = user, task, []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._fire)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _fire(self):
        while not self._over.wait(0.05):
            started = self.user.http.post(f"/tasks/{self.task['id']}/run", json={"input": {}})
            started.raise_for_status()
            self.run_ids.append(started.json()["run_id"])


def killed_half_way(own, rows, left, *options):
    """Start a rotation and end it with SIGKILL when some of what it has to do is done; how much is left then."""
    counts = [0]

    def falls():
        counts.append(rows.execute(left).fetchone()[0])
        return counts[-1] < max(counts)

    with subprocess.Popen([TASKE, "rotate-key", *options], env=own.environ, stdout=subprocess.DEVNULL) as process:
        wait_until(falls, 60, "being in the midst of it", again_s=0.002)
        process.kill()
        process.wait()
    return rows.execute(left).fetchone()[0]


def newest_kek(settings):
    """The name of today's master key, by the file."""
    return read_master_keys(settings).keyring().kek_id


def under_former_versions():
    """How many sealed values stand under a data key that has a newer version."""
    counts = [
        f"(SELECT count(*) FROM {place.table} t JOIN data_keys d ON d.id = t.{place.data_key}"
        " WHERE EXISTS (SELECT FROM data_keys n WHERE n.user_id IS NOT DISTINCT FROM d.user_id"
        " AND n.purpose = d.purpose AND n.version > d.version))"
        for place in sealed_columns
    ]
    return "SELECT " + " + ".join(counts)


def opened(rows, settings, planted):
    """How many of the planted credentials open with today's master key alone, as what they were."""
    today = Keyring(purpose_keys(read_master_key((settings.data_dir / "master.key").read_text().strip())))
    query = (
        "SELECT c.id, c.sealed, d.id, d.user_id, d.purpose, d.version, d.kek_id, d.wrapped"
        " FROM connections c JOIN data_keys d ON d.id = c.data_key WHERE c.id = ANY(%s)"
    )
    found = 0
    for connection, sealed, *key in rows.execute(query, [list(planted)]).fetchall():
        data_key = today.unwrap(WrappedKey(*key[:-1], bytes(key[-1])))
        values = open_credentials(data_key, connection, bytes(sealed), auth_id="bearer", config={})
        found += values.secret == planted[connection]
    return found


def test_keys_change_under_load_by_a_command_that_is_killed(own, owner, other, rows):
    """Killed in the midst of either rotation and run again it ends; no run fails, and the former key opens nothing."""
    settings = Settings(own.data_dir)
    planted, url = plant(rows, settings), other.serve(Answer())
    step = {"capability": "http.request", "connection": connect(owner, other.place, TOKEN), "params": {"url": url}}
    task = owner.task(MANUAL, step, name="with a credential")
    first = newest_kek(settings)
    with Load(owner, task) as load:
        wait_until(lambda: len(load.run_ids) > 5, 30, "the first runs")
        under_first = f"SELECT count(*) FROM data_keys WHERE kek_id = '{first}'"
        assert 0 < killed_half_way(own, rows, under_first) < PLANTED
        second = newest_kek(settings)
        assert second != first
        late = owner.task(MANUAL, step | {"connection": connect(owner, other.place, "made meanwhile")}, name="late")
        assert owner.fire(late)["status"] == "succeeded"
        assert own.taske("rotate-key").returncode == 0
        assert newest_kek(settings) == second
        assert rows.execute("SELECT DISTINCT kek_id FROM data_keys").fetchall() == [(second,)]
        left = under_former_versions()
        assert 0 < killed_half_way(own, rows, left, "--data") < PLANTED
        done = own.taske("rotate-key", "--data")
        assert done.returncode == 0, done.stderr
        fired = len(load.run_ids)
        wait_until(lambda: len(load.run_ids) > fired + 5, 30, "runs after it")
    ends = [owner.ended(run_id) for run_id in load.run_ids]
    assert {run["status"] for run in ends} == {"succeeded"}
    assert {len(run["steps"][0]["attempts"]) for run in ends} == {1}
    sent = [each.headers["authorization"] for each in other.at(url)]
    assert sorted(set(sent)) == ["Bearer made meanwhile", f"Bearer {TOKEN}"]
    assert rows.execute(left).fetchone() == (0,)
    assert rows.execute("SELECT DISTINCT kek_id FROM data_keys").fetchall() == [(newest_kek(settings),)]
    assert opened(rows, settings, planted) == PLANTED


def test_a_task_that_starts_itself_ends(own, owner):
    """It calls the API that runs it with a key of its owner: the third run in a row is the last to start another."""
    place = f"127.0.0.1:{own.port}"
    connection = connect(owner, place, owner.key)
    task = owner.task(MANUAL, name="Round")
    call = {"method": "POST", "url": f"http://{place}/api/v1/tasks/{task['id']}/run", "body": {"input": {}}}
    step = {"capability": "http.request", "connection": connection, "params": call, "retry": {"max_attempts": 1}}
    owner.ask("PUT", f"/tasks/{task['id']}", {"name": "Round", "trigger": MANUAL, "actions": [step]})
    owner.fire(task)

    def refused():
        return owner.ask("GET", f"/runs?task_id={task['id']}&status=failed")["items"]

    [last] = wait_until(refused, 30, "the end of the round")
    assert owner.ask("GET", f"/runs/{last['id']}")["steps"][0]["attempts"][0]["http_status"] == 409
    runs = owner.ask("GET", f"/runs?task_id={task['id']}")["items"]
    assert sorted(run["status"] for run in runs) == ["failed", *["succeeded"] * 3]
    skips = owner.ask("GET", f"/tasks/{task['id']}/explain")["skips"]
    assert [(skip["reason"], skip["count"]) for skip in skips] == [("loop", 1)]
