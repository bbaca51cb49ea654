"""The role of hosts and hooks: it can do what they do, and nothing that is not theirs."""

import psycopg
import pytest

from taske_ray.db import queries
from taske_ray.db.database import engine_role
from taske_ray.db.migrate import upgrade
from taske_ray.errors import StartRefused
from tests.integration.db.test_schema import STATEMENTS, numbered

pytestmark = pytest.mark.integration

OF_THE_API = {
    *("abandon_idempotent", "authenticate_key", "authenticate_session", "begin_idempotent", "finish_idempotent"),
    *("create_task", "delete_task", "replace_task", "switch_task"),
}
"""Statements that only the API runs, and that touch what only it may; `keep_zone` and its like run at the start."""
OF_THE_START = {"keep_zone", "schedule_zones"}
SECRET = ["sessions", "refresh_tokens", "one_time_tokens", "api_keys", "signing_keys", "login_failures"]
SECRET += ["idempotency_keys", "audit"]
READ_ONLY = ["users", "data_keys", "modules", "capabilities", "tasks", "task_versions"]


@pytest.fixture
def engine(database_url):
    """A connection in the role."""
    with psycopg.connect(database_url, autocommit=True, options=f"-c role={engine_role}") as connection:
        yield connection


@pytest.mark.parametrize("name", sorted(set(STATEMENTS) - OF_THE_API - OF_THE_START))
def test_it_may_run_what_hosts_and_hooks_run(engine, name):
    """Every statement that is not the API's alone is allowed to the role."""
    text, count = numbered(queries.statement(name))
    engine.execute("SET plan_cache_mode = force_generic_plan")
    engine.execute(f"PREPARE checked AS {text}")
    nulls = f"({', '.join(['NULL'] * count)})" if count else ""
    assert engine.execute(f"EXPLAIN EXECUTE checked{nulls}").fetchall()


@pytest.mark.parametrize("name", sorted(OF_THE_API | OF_THE_START))
def test_it_may_not_run_what_only_the_api_runs(engine, name):
    """Statements that touch accounts, write tasks or belong to the start are refused."""
    text, count = numbered(queries.statement(name))
    engine.execute("SET plan_cache_mode = force_generic_plan")
    engine.execute(f"PREPARE checked AS {text}")
    nulls = f"({', '.join(['NULL'] * count)})" if count else ""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        engine.execute(f"EXPLAIN EXECUTE checked{nulls}")


@pytest.mark.parametrize("table", SECRET)
@pytest.mark.parametrize("what", ["SELECT 1 FROM {}", "DELETE FROM {}", "INSERT INTO {} DEFAULT VALUES"])
def test_it_sees_no_secrets(engine, table, what):
    """Sessions, tokens, API keys, signing keys and their like are neither read nor written."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        engine.execute(what.format(table))


def test_it_reads_users_without_their_passwords(engine):
    """Address and locale are readable, the password's hash is not, not even by the star."""
    engine.execute("SELECT id, email, locale FROM users")
    for columns in ("password_hash", "*", "not_before"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            engine.execute(f"SELECT {columns} FROM users")


@pytest.mark.parametrize("table", READ_ONLY)
def test_it_does_not_write_what_it_only_reads(engine, table):
    """Accounts, keys, the catalog and tasks are not the engine's to change."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        engine.execute(f"DELETE FROM {table}")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "DROP TABLE runs",
        "ALTER TABLE runs DISABLE TRIGGER ALL",
        "TRUNCATE runs",
        "CREATE ROLE other",
        "ALTER ROLE taske_engine SUPERUSER",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_it_owns_nothing_and_makes_nothing(engine, statement):
    """It is no owner: no table, no function and no role is made, changed or dropped."""
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidGrantOperation)):
        engine.execute(statement)


def test_it_has_no_attributes(engine):
    """The session's role is the engine's, which is no superuser, passes no row security and cannot log in."""
    row = engine.execute(
        "SELECT current_user, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin"
        " FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    assert row == (engine_role, False, False, False, False, False, False)
    owned = "SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole"
    assert engine.execute(owned).fetchone() == (0,)


def test_every_table_is_decided_about(engine):
    """The role has rights on the tables that are named for it and on no other; a new table is nobody's by itself."""
    found = {
        name
        for (name,) in engine.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition AND has_any_column_privilege(oid, 'SELECT')"
        )
    }
    written = {"triggers", "connections", "chores", "runs", "steps", "attempts", "events", "skips", "checks"}
    assert found == {*READ_ONLY, *written, "poll_ledger", "hosts", "mails", "run_ends"}


def test_rights_are_given_again_at_each_start(database_url, engine):
    """A start takes away what the role should not have and gives what it should."""
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute("GRANT SELECT ON sessions TO taske_engine")
        owner.execute("REVOKE ALL ON runs FROM taske_engine")
    upgrade(database_url)
    engine.execute("SELECT 1 FROM runs")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        engine.execute("SELECT 1 FROM sessions")


@pytest.fixture
def owner_url(postgres_server, fresh_database_url):
    """The URL of a login of its own that owns a database and may do nothing else; dropped afterwards."""
    name = psycopg.conninfo.conninfo_to_dict(fresh_database_url)["dbname"]
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute("CREATE ROLE taske_test_owner LOGIN PASSWORD 'x'")
        admin.execute(f"CREATE DATABASE {name}_owned OWNER taske_test_owner TEMPLATE template0")
    parts = fresh_database_url.replace(name, f"{name}_owned").split("@", 1)
    yield f"postgresql://taske_test_owner:x@{parts[1]}"
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {name}_owned WITH (FORCE)")
        admin.execute("DROP OWNED BY taske_test_owner; DROP ROLE taske_test_owner")


def test_a_login_that_may_not_take_it_on_is_told_what_to_do(postgres_server, owner_url):
    """An owner without the right is refused with the statements to run, and after them starts and takes the role on."""
    with pytest.raises(StartRefused, match="GRANT taske_engine TO taske_test_owner"):
        upgrade(owner_url)
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute("GRANT taske_engine TO taske_test_owner")
    upgrade(owner_url)
    with psycopg.connect(owner_url, options=f"-c role={engine_role}") as engine:
        assert engine.execute("SELECT current_user, count(*) FROM runs GROUP BY 1").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            engine.execute("SELECT 1 FROM sessions")
