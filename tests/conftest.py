"""What every kind of test may ask for: a real PostgreSQL, started once, and databases cloned from a migrated one."""

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("taske", deadline=None)  # wall clock on a shared machine says nothing about an example
settings.load_profile("taske")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    """The admin URL of a running PostgreSQL: `TASKE_TEST_DATABASE_URL`, or one of our own for this session."""
    given = os.environ.get("TASKE_TEST_DATABASE_URL")
    if given:
        yield given
        return
    from taske_ray.db.embedded import EmbeddedPostgres

    server = EmbeddedPostgres(Path(tmp_path_factory.mktemp("postgres")))
    server.start()
    yield server.admin_url
    server.stop()


@pytest.fixture(scope="session")
def clone_database(postgres_server):
    """Call it for the URL of a fresh database with this version's schema; all are dropped at the end of the session."""
    import psycopg

    from taske_ray.db.migrate import upgrade

    numbers, made = itertools.count(), []

    def url(name: str) -> str:
        head, _, query = postgres_server.partition("?")
        return head.rsplit("/", 1)[0] + f"/{name}" + (f"?{query}" if query else "")

    def execute(statement: str) -> None:
        with psycopg.connect(postgres_server, autocommit=True) as admin:
            admin.execute(statement)

    def create(source: str) -> str:
        name = f"taske_test_{os.getpid()}_{next(numbers)}"
        execute(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy")
        made.append(name)
        return name

    template = create("template0")
    upgrade(url(template))
    yield lambda: url(create(template))
    for name in made:
        execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def fresh_database_url(clone_database):
    """A database of this test's own."""
    return clone_database()


@pytest.fixture(scope="module")
def database_url(clone_database):
    """A database that the tests of one file share."""
    return clone_database()
