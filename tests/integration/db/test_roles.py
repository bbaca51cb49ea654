"""The roles of processes: each can do what its process does, and nothing else; for rows see `test_row_security.py`."""

import contextlib

import psycopg
import pytest

from taske_ray.db import queries
from taske_ray.db.database import engine_role, roles
from taske_ray.db.migrate import complaint, upgrade
from taske_ray.errors import StartRefused
from tests.integration.db.test_schema import STATEMENTS, numbered

pytestmark = pytest.mark.integration

OF_AUTH = {
    *("abandon_idempotent", "authenticate_key", "authenticate_session", "begin_idempotent", "finish_idempotent"),
    *("forget_runs", "mail_token", "list_acts"),
}
"""Statements of `/auth`."""
OF_TASKS = {
    *("abandon_idempotent", "authenticate_key", "authenticate_session", "begin_idempotent", "finish_idempotent"),
    *(
        "create_task",
        "delete_task",
        "list_tasks",
        "list_tasks_named",
        "read_task",
        "replace_task",
        "switch_task",
        "rotate_hook",
    ),
    *("cancel_run", "copy_steps", "list_runs", "list_runs_of_task", "read_run", "read_steps", "resolve_run"),
    *("instants_with_runs", "known_connections", "resume_triggers", "task_version"),
    *("list_acts", "list_all_acts", "record_acts"),
}
"""Statements of `/api/v1` that are about one user; what fires runs is the engine's."""
OF_THE_API = (OF_AUTH - {"forget_runs"}) | {
    "create_task",
    "delete_task",
    "replace_task",
    "switch_task",
    "copy_steps",
    "rotate_hook",
    "known_connections",
    "list_all_acts",
}
"""Statements that touch what the engine may not; `keep_zone` and its like run at the start."""
OF_THE_START = {"keep_zone", "schedule_zones"}
SECRET = ["sessions", "refresh_tokens", "one_time_tokens", "api_keys", "signing_keys", "login_failures"]
SECRET += ["totp_factors", "recovery_codes", "login_challenges", "code_failures", "identities"]
SECRET += ["idempotency_keys"]
READ_ONLY = ["users", "data_keys", "modules", "capabilities", "tasks", "task_versions", "oauth_clients", "app_hooks"]


@pytest.fixture
def acting(database_url):
    """Call it for a connection in a role."""
    with contextlib.ExitStack() as stack:

        def connect(role):
            found = psycopg.connect(database_url, autocommit=True, options=f"-c role={role}")
            return stack.enter_context(found)

        yield connect


@pytest.fixture
def engine(acting):
    """A connection in the role of hosts and hooks."""
    return acting(engine_role)


@pytest.mark.parametrize(
    ("role", "name"),
    [
        *((engine_role, name) for name in sorted(set(STATEMENTS) - OF_THE_API - OF_THE_START)),
        *(("taske_api", name) for name in sorted(OF_TASKS)),
        *(("taske_auth", name) for name in sorted(OF_AUTH)),
    ],
)
def test_it_may_run_what_its_process_runs(acting, role, name):
    """Every statement that a process runs is allowed to its role."""
    connection = acting(role)
    text, count = numbered(queries.statement(name))
    connection.execute("SET plan_cache_mode = force_generic_plan")
    connection.execute(f"PREPARE checked AS {text}")
    nulls = f"({', '.join(['NULL'] * count)})" if count else ""
    assert connection.execute(f"EXPLAIN EXECUTE checked{nulls}").fetchall()


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


@pytest.mark.parametrize("role", roles)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "DROP TABLE runs",
        "ALTER TABLE runs DISABLE TRIGGER ALL",
        "TRUNCATE runs",
        "CREATE ROLE other",
        "ALTER ROLE taske_engine SUPERUSER",
        "ALTER TABLE tasks NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY taske_api_all ON tasks",
        "UPDATE audit SET result = 'ok'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_it_owns_nothing_and_makes_nothing(acting, role, statement):
    """It is no owner: no table, policy, function and role is made, changed or dropped, and no audit entry."""
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InvalidGrantOperation)):
        acting(role).execute(statement)


@pytest.mark.parametrize("role", roles)
def test_it_has_no_attributes(acting, role):
    """The session's role is no superuser, passes no row security and cannot log in."""
    connection = acting(role)
    row = connection.execute(
        "SELECT current_user, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolcanlogin"
        " FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    assert row == (role, False, False, False, False, False, False)
    owned = "SELECT count(*) FROM pg_class WHERE relowner = current_user::regrole"
    assert connection.execute(owned).fetchone() == (0,)


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
    also = {"poll_ledger", "hosts", "mails", "run_ends", "run_counts", "connection_authorizations", "subscriptions"}
    assert found == {*READ_ONLY, *written, *also}


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


def test_a_login_that_may_not_take_them_on_is_told_what_to_do(postgres_server, owner_url):
    """An owner without the right is refused with the statements to run, and after them starts and takes the role on."""
    grant = "GRANT taske_api, taske_auth, taske_engine TO taske_test_owner"
    with pytest.raises(StartRefused, match=grant):
        upgrade(owner_url)
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(grant)
    upgrade(owner_url)
    with psycopg.connect(owner_url, options=f"-c role={engine_role}") as engine:
        assert engine.execute("SELECT current_user, count(*) FROM runs GROUP BY 1").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            engine.execute("SELECT 1 FROM sessions")


@pytest.mark.parametrize("change", ["ALTER ROLE taske_api BYPASSRLS", "ALTER ROLE taske_auth SUPERUSER"])
def test_a_role_that_may_too_much_refuses_the_start(postgres_server, database_url, change):
    """A role made a superuser, or let past row security, is named: no start, and `taske status` tells."""
    back = change.replace(" BYPASSRLS", " NOBYPASSRLS").replace(" SUPERUSER", " NOSUPERUSER")
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        try:
            admin.execute(change)
            with pytest.raises(StartRefused, match="must be no superuser"):
                upgrade(database_url)
            assert "must be no superuser" in complaint(database_url)
        finally:
            admin.execute(back)
    upgrade(database_url)
