"""Two complete services on one database, each with a Ray of its own: they share the work, and one is enough."""

import contextlib
import tempfile
from pathlib import Path

import psycopg
import pytest

from taske_ray.db.embedded import EmbeddedPostgres
from taske_ray.db.migrate import upgrade
from taske_ray.security.vault import new_master_key
from tests.bench.service import temporary
from tests.bench.stand import Stub
from tests.cluster.receiver import Answer
from tests.faults.oracle import STEPS
from tests.faults.stand import Stand
from tests.faults.twins import Load

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400, func_only=True)]

TAKEN_OVER_S = 45


@pytest.fixture(scope="module")
def database():
    """A PostgreSQL that belongs to neither."""
    with tempfile.TemporaryDirectory(prefix="taske-d-") as directory:
        Path(directory).chmod(0o711)
        server = EmbeddedPostgres(Path(directory) / "data")
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="module")
def settings(database):
    """What both services need to have in common."""
    return {"TASKE_DATABASE_URL": database.url, "TASKE_MASTER_KEY": new_master_key(), "TASKE_RUN_HOSTS": "2"}


@pytest.fixture(scope="module")
def twins(database, settings, receiver):
    """Both services."""
    with contextlib.ExitStack() as opened:
        found = [opened.enter_context(temporary(Stub(0, receiver.port), **settings)) for _ in range(2)]
        for service in found:
            service.database_dir = database.data_dir
            service.start()
        found[0].create_account()
        found[1].api_key = found[0].api_key
        yield found


@pytest.fixture
def load(twins, receiver, tmp_path):
    """A load on both, which are whole."""
    for service in twins:
        with Stand(service, receiver) as stand:
            stand.whole()
    with Load(twins, receiver, tmp_path) as found:
        yield found


def rows(database, statement, *values):
    """What a statement finds."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        return connection.execute(statement, values).fetchall()


def test_they_share_the_work(load, database):
    """Each delivery, start, instant and item is one run, whoever heard of it; calls go out at both, each once."""
    load.during(lambda: None)
    load.check()
    load.each_step_once()
    used = "SELECT count(DISTINCT h.node) FROM attempts a JOIN hosts h ON h.id = a.client"
    assert rows(database, used) == [(2,)]


def test_one_is_killed_and_the_other_goes_on(load, twins):
    """`kill -9` of all of one: its runs go on in the other within 45 s, whose senders notice nothing; it comes back."""
    other, dying = twins

    def act():
        load.kill(dying)
        dying.start()

    load.during(act)
    assert load.check() <= TAKEN_OVER_S
    assert set(load.senders[0].answers) == {202}, load.senders[0].answers
    assert other.log.read_text().count("ready") == 1


def test_one_is_rolled_and_started_anew_while_the_other_works(load, twins):
    """Hosts one after another, then a stop and a start, which migrates: no step is repeated, no outcome is unknown."""
    rolled = twins[1]

    def act():
        rolled.command("restart")
        load.kinds["hook"].until(lambda: "Started anew: " in rolled.log.read_text(), 200, "starting the hosts anew")
        rolled.stop()
        rolled.start()

    load.during(act)
    load.check()
    load.each_step_once()
    assert set(load.senders[0].answers) == {202}, load.senders[0].answers


def test_a_migration_with_runs_in_flight(twins, receiver, database):
    """The schema grows and one service starts on it while the other has a run under way: that ends as it began.

    What the task says meanwhile is for later runs. A start of an older version on the newer schema is refused.
    """
    twins[1].stop()
    with Stand(twins[0], receiver) as stand:
        gate = receiver.gate()
        hook = stand.hook(answers={2: [Answer(gate=gate)]}, timeout_s=300)
        stand.deliver(hook, "pinned")
        stand.until(lambda: stand.count("pinned", 2), 30, "the call")
        task = stand.ask("GET", f"/api/v1/tasks/{stand.tasks[0]}")
        growth = ["ALTER TABLE runs ADD COLUMN novelty text", "ALTER TABLE triggers ADD COLUMN novelty text"]
        with psycopg.connect(database.url, autocommit=True) as newer:
            for statement in growth:
                newer.execute(statement)
            newer.execute("CREATE INDEX CONCURRENTLY novelties ON events (recorded_at)")
            newer.execute("UPDATE alembic_version SET version_num = '9' || version_num")
            with pytest.raises(RuntimeError, match="a newer version has migrated it"):
                twins[1].start()
            newer.execute("UPDATE alembic_version SET version_num = substr(version_num, 2)")
        upgrade(database.url)
        twins[1].start()
        changed = {"name": "changed", "trigger": {"capability": "system.webhook"}, "actions": task["actions"][:1]}
        stand.ask("PUT", f"/api/v1/tasks/{task['id']}", changed)
        gate.open()
        run = stand.ended(stand.acknowledged[0].run_id)
        assert (run["status"], run["task_version"], len(run["steps"])) == ("succeeded", task["version"], 3)
        assert [stand.count("pinned", step) for step in STEPS] == [1, 1, 1]
        verdict = stand.judged()
        assert verdict.holds, verdict.wrong


def test_another_master_key_is_refused(twins, settings, receiver):
    """A third service with a key of its own ends at once and says which setting is wrong; the others go on."""
    another = settings | {"TASKE_MASTER_KEY": new_master_key()}
    refused = pytest.raises(RuntimeError, match="set TASKE_MASTER_KEY")
    with temporary(Stub(0, receiver.port), **another) as stranger, refused:
        stranger.start()
    with Stand(twins[0], receiver) as stand:
        stand.whole(10)
        stand.deliver(stand.hook(), "afterwards")
        assert stand.ended(stand.acknowledged[0].run_id)["status"] == "succeeded"
