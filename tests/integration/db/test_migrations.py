"""Migrations on a database that has lived: what was there stays, and what is under way goes on."""

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine

from taske_ray.clock import new_id
from taske_ray.db import migrate
from taske_ray.db.database import sqlalchemy_url
from taske_ray.db.migrate import complaint, upgrade
from taske_ray.errors import StartRefused

pytestmark = pytest.mark.integration


@pytest.fixture
def first_schema(postgres_server, fresh_database_url):
    """The URL of a database with the first schema only."""
    name = psycopg.conninfo.conninfo_to_dict(fresh_database_url)["dbname"]
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}_first TEMPLATE template0")
    url = fresh_database_url.replace(name, f"{name}_first")
    engine = create_engine(sqlalchemy_url(url))
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", f"{migrate.__file__.rpartition('/')[0]}/migrations")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    yield url
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name}_first WITH (FORCE)")


def test_a_database_of_the_first_schema_comes_along(first_schema):
    """Users, runs in flight and their steps survive every later migration; upgrading again changes nothing."""
    user_id, run_id = new_id(), new_id()
    with psycopg.connect(first_schema, autocommit=True) as old:
        old.execute("INSERT INTO users (id, email) VALUES (%s, 'mina@example.com')", (user_id,))
        old.execute(
            "INSERT INTO runs (id, user_id, task_id, task_version, status, fence, claims)"
            " VALUES (%s, %s, %s, 1, 'running', 1, 1)",
            (run_id, user_id, new_id()),
        )
        old.execute(
            "INSERT INTO steps (run_id, step, key, capability, status) VALUES (%s, 1, 'a', 'c', 'running')", (run_id,)
        )
        old.execute(
            "INSERT INTO attempts (run_id, step, number, fence, status) VALUES (%s, 1, 1, 1, 'dispatched')", (run_id,)
        )
    for _ in range(2):
        upgrade(first_schema)
        with psycopg.connect(first_schema) as new:
            assert new.execute("SELECT email FROM users").fetchall() == [("mina@example.com",)]
            assert new.execute("SELECT id, status, fence, exclusive FROM runs").fetchall() == [
                (run_id, "running", 1, False)
            ]
            assert new.execute("SELECT status FROM attempts").fetchall() == [("dispatched",)]


def test_an_older_version_refuses_a_newer_schema_and_changes_nothing(fresh_database_url):
    """It says which schema it met and what it knows; the rights that the newer version set stay as they were."""
    with psycopg.connect(fresh_database_url, autocommit=True) as newer:
        (known,) = newer.execute("SELECT version_num FROM alembic_version").fetchone()
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
        newer.execute("CREATE TABLE novelties (id uuid PRIMARY KEY)")
        newer.execute("GRANT SELECT ON novelties TO taske_engine")
        with pytest.raises(StartRefused, match=rf"schema is 9999, .* knows it up to {known}: a newer version"):
            upgrade(fresh_database_url)
        granted = "SELECT has_table_privilege('taske_engine', 'novelties', 'SELECT')"
        assert newer.execute(granted).fetchone() == (True,)


@pytest.mark.parametrize(
    ("change", "complains"),
    [
        ("ALTER DATABASE {name} SET synchronous_commit TO off", "synchronous_commit must not be off"),
        ("ALTER TABLE skips SET UNLOGGED", "The table skips is UNLOGGED"),
    ],
)
def test_a_server_that_may_lose_what_it_acknowledged_is_refused(fresh_database_url, change, complains):
    """A start is refused with the name of the setting or table, and whoever looks at a running instance is told."""
    assert complaint(fresh_database_url) is None
    name = psycopg.conninfo.conninfo_to_dict(fresh_database_url)["dbname"]
    with psycopg.connect(fresh_database_url, autocommit=True) as owner:
        owner.execute(change.format(name=name))
    with pytest.raises(StartRefused, match=complains):
        upgrade(fresh_database_url)
    assert complains in complaint(fresh_database_url)


def test_a_server_that_does_not_answer_is_told(free_tcp_port):
    """Nobody listens: that is a complaint, too."""
    assert complaint(f"postgresql://x@127.0.0.1:{free_tcp_port}/x") == "it does not answer"
