"""Row-level security: what each role sees of two users' rows, table by table; a new table fails until it is in here."""

import contextlib
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from taske_ray.clock import new_id
from taske_ray.db.database import roles

pytestmark = pytest.mark.integration

EVERYTHING, OWN, OWN_OR_UNKNOWN = "all rows", "rows of the user", "all rows, or those of the user if one is named"
API, AUTH, ENGINE = roles

SEEN = {
    "api_keys": {AUTH: OWN_OR_UNKNOWN},
    "attempts": {API: OWN, ENGINE: EVERYTHING},
    "app_hooks": {API: None, ENGINE: EVERYTHING},  # API: an administrator's alone
    "audit": {API: OWN, AUTH: OWN_OR_UNKNOWN},
    "authorization_states": {API: OWN_OR_UNKNOWN, AUTH: None},
    "capabilities": {API: EVERYTHING, ENGINE: EVERYTHING},
    "code_failures": {AUTH: OWN_OR_UNKNOWN},
    "checks": {API: OWN, ENGINE: EVERYTHING},
    "chores": {ENGINE: EVERYTHING},
    "connection_authorizations": {API: OWN, ENGINE: EVERYTHING},
    "connections": {API: OWN, ENGINE: EVERYTHING},
    "data_keys": {API: OWN, AUTH: EVERYTHING, ENGINE: EVERYTHING},  # AUTH: of its own purpose, here the instance's
    "events": {ENGINE: EVERYTHING},
    "hosts": {AUTH: EVERYTHING, ENGINE: EVERYTHING},
    "idempotency_keys": {API: OWN, AUTH: OWN_OR_UNKNOWN},
    "identities": {AUTH: OWN_OR_UNKNOWN},
    "login_challenges": {AUTH: OWN_OR_UNKNOWN},
    "login_failures": {AUTH: EVERYTHING},
    "mails": {AUTH: OWN_OR_UNKNOWN, ENGINE: EVERYTHING},
    "modules": {API: EVERYTHING, ENGINE: EVERYTHING},
    "oauth_clients": {API: EVERYTHING, ENGINE: EVERYTHING},
    "one_time_tokens": {AUTH: OWN_OR_UNKNOWN},
    "poll_ledger": {API: OWN, ENGINE: EVERYTHING},
    "recovery_codes": {AUTH: OWN_OR_UNKNOWN},
    "refresh_tokens": {AUTH: OWN_OR_UNKNOWN},
    "run_counts": {API: OWN, ENGINE: EVERYTHING},
    "run_ends": {ENGINE: EVERYTHING},
    "runs": {API: OWN, ENGINE: EVERYTHING},
    "sessions": {AUTH: OWN_OR_UNKNOWN},
    "signing_keys": {API: EVERYTHING, AUTH: EVERYTHING},
    "skips": {API: OWN, ENGINE: EVERYTHING},
    "steps": {API: OWN, ENGINE: EVERYTHING},
    "subscriptions": {API: OWN, ENGINE: EVERYTHING},
    "task_versions": {API: OWN, ENGINE: EVERYTHING},
    "tasks": {API: OWN, AUTH: OWN, ENGINE: EVERYTHING},
    "totp_factors": {AUTH: OWN_OR_UNKNOWN},
    "triggers": {API: OWN, ENGINE: EVERYTHING},
    "users": {AUTH: OWN_OR_UNKNOWN, ENGINE: EVERYTHING},
    "zone_rules": {},
}
"""Table -> role -> what it sees of the rows of two users; a role that is absent may not select.

None: none of these rows, because they are of another purpose than the role's."""
WITHOUT_POLICY = {"alembic_version"}


@pytest.fixture(scope="module")
def people(database_url):
    """Two users with one row each in every table that has rows of users, and two rows in those that have none."""
    with psycopg.connect(database_url) as admin:

        def add(table, **values):
            names, places = ", ".join(values), ", ".join(["%s"] * len(values))
            values = [Jsonb(value) if isinstance(value, dict) else value for value in values.values()]
            admin.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", values)

        for number in range(2):
            _add_shared(add, f"m{number}")
        return [_add_person(add) for _ in range(2)]


def _add_shared(add, name):
    key, now = new_id(), datetime.now(UTC)
    add("modules", module=name, version=1, hash="", doc={}, origin="catalog")
    add("capabilities", capability=f"{name}.x", version=1, module=name, module_version=1, hash="", doc={})
    add("chores", name=name)
    add("oauth_clients", id=new_id(), module=name, auth="oauth", client_id="")
    host = {"name": "", "node": "", "boot_id": "", "pid": 1, "pid_started": 1, "capacity": 1, "expires_at": now}
    add("hosts", id=new_id(), kind="run", **host)
    add("data_keys", id=key, purpose="auth", version=int(name[1:]) + 1, kek_id="", wrapped=b"")
    add("signing_keys", kid=name, data_key=key, sealed_private=b"", public_key=b"")
    add("app_hooks", module=name, hook_hash=name.encode(), data_key=key, sealed=b"")


def _add_person(add):
    user, task, trigger, run, key, session = (new_id() for _ in range(6))
    soon = datetime.now(UTC) + timedelta(hours=1)
    mine = {"user_id": user}
    add("users", id=user, email=str(user))
    add("sessions", id=session, expires_at=soon, **mine)
    add("refresh_tokens", hash=user.bytes, session_id=session, expires_at=soon, **mine)
    add("one_time_tokens", hash=user.bytes, purpose="verify", expires_at=soon, **mine)
    add("api_keys", id=new_id(), name="", hash=user.bytes, **mine)
    add("login_challenges", hash=user.bytes, method="password", expires_at=soon, **mine)
    add("login_failures", email=str(user))
    add("code_failures", **mine)
    add("recovery_codes", label="aa", hash="", **mine)
    add("data_keys", id=key, purpose="credentials", kek_id="", wrapped=b"", **mine)
    add("totp_factors", data_key=key, sealed=b"", **mine)
    add("idempotency_keys", key="k", request_hash=b"", **mine)
    add("identities", issuer="https://id.example.com", subject=str(user), provider="corp", **mine)
    visit = {"purpose": "connect", "provider": "google", "browser_hash": b"", "target": "/", "sealed": b""}
    add("authorization_states", hash=user.bytes, data_key=key, expires_at=soon, **visit, **mine)
    add("connections", id=new_id(), module="m", auth="a", name="", **mine)
    sent = {"connection_id": new_id(), "module": "m", "auth": "a", "name": "", "redirect_uri": "", "expires_at": soon}
    add("connection_authorizations", id=new_id(), **sent, **mine)
    wanted = {"trigger_id": trigger, "capability": "c", "capability_version": 1, "spec": {}}
    add("subscriptions", id=new_id(), **wanted, **mine)
    add("tasks", id=task, name="", enabled=True, version=1, **mine)
    add("task_versions", task_id=task, version=1, spec={}, pins={}, **mine)
    watched = {"kind": "manual", "capability": "c", "capability_version": 1, "spec": {}, "enabled": True}
    add("triggers", id=trigger, task_id=task, version=1, **watched, **mine)
    add("checks", trigger_id=trigger, result={})
    add("poll_ledger", trigger_id=trigger, key="k")
    add("events", trigger_id=trigger, fire_key="k", run_id=run)
    add("skips", trigger_id=trigger, reason="quota", minute=soon)
    add("runs", id=run, task_id=task, task_version=1, trigger_id=trigger, status="failed", **mine)
    add("steps", run_id=run, step=1, key="k", capability="c", status="failed")
    add("attempts", run_id=run, step=1, number=1, fence=1, status="failed")
    add("run_ends", run_id=run, fence=1, status="failed")
    add("run_counts", day=soon.date(), runs=1, **mine)
    add("mails", id=new_id(), recipients=[], subject="", purpose="verify", **mine)
    add("audit", id=new_id(), action="x", result="ok", **mine)
    return user


@pytest.fixture
def acting(database_url):
    """Call it for a connection in a role, about a user or nobody; what it does is undone."""
    with contextlib.ExitStack() as stack:

        def connect(role, user=None):
            connection = stack.enter_context(psycopg.connect(database_url, options=f"-c role={role}"))
            stack.callback(connection.rollback)
            if user is not None:
                connection.execute("SELECT set_config('taske.user_id', %s, true)", [str(user)])
            return connection

        yield connect


def tables(connection):
    """Every table of ours, partitions left out."""
    found = connection.execute(
        "SELECT relname, relrowsecurity AND relforcerowsecurity FROM pg_class WHERE relkind IN ('r', 'p')"
        " AND NOT relispartition AND relnamespace = current_schema()::regnamespace"
    )
    return dict(found.fetchall())


def test_every_table_is_forced(acting):
    """Row-level security is forced on every table, and every table is in the list above."""
    found = tables(acting(API))
    assert found.keys() - WITHOUT_POLICY == SEEN.keys()
    assert {name for name, forced in found.items() if not forced} == WITHOUT_POLICY


@pytest.mark.parametrize("role", roles)
@pytest.mark.parametrize("table", sorted(SEEN))
def test_what_a_role_sees(acting, people, table, role):
    """Nobody's, one user's or everybody's rows, as the list says: without a user, as the first, as a made-up one."""
    if role not in SEEN[table]:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            acting(role).execute(f"SELECT count(*) FROM {table}")
        return
    unknown, one, made_up = (
        acting(role, user).execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for user in (None, people[0], new_id())
    )
    match SEEN[table][role]:
        case None:
            assert (unknown, one, made_up) == (0, 0, 0)
        case "all rows":
            assert unknown == one == made_up >= 2
        case "rows of the user":
            assert (unknown, one, made_up) == (0, 1, 0)
        case _:
            assert (unknown, one, made_up) == (2, 1, 0)


def writable(connection, role, privilege):
    """The tables of which a role may change rows, by their whole."""
    names = [name for name in SEEN if SEEN[name].get(role) in (OWN, OWN_OR_UNKNOWN)]
    found = connection.execute(
        "SELECT n FROM unnest(%s::text[]) n WHERE has_table_privilege(%s, n, %s)", [names, role, privilege]
    )
    return {name for (name,) in found}


@pytest.mark.parametrize("role", [API, AUTH])
def test_nobody_elses_row_is_changed_or_removed(acting, people, role):
    """DELETE and UPDATE without a condition reach one user's row in every table that the role may write."""
    connection = acting(role, people[0])
    for table in sorted(writable(connection, role, "DELETE")):
        with contextlib.suppress(psycopg.Rollback), connection.transaction():
            assert connection.execute(f"DELETE FROM {table}").rowcount == 1, table
            raise psycopg.Rollback
    column = {"users": "id", "steps": "run_id"}
    for table in sorted(writable(connection, role, "UPDATE")):
        own = column.get(table, "user_id")
        with contextlib.suppress(psycopg.Rollback), connection.transaction():
            assert connection.execute(f"UPDATE {table} SET {own} = {own}").rowcount == 1, table
            raise psycopg.Rollback


@pytest.mark.parametrize("role", [API, AUTH])
def test_no_row_is_given_to_somebody_else(acting, people, role):
    """A row cannot be handed to another user, and none be made for one."""
    connection = acting(role, people[0])
    tried = 0
    for table in sorted(writable(connection, role, "UPDATE") - {"steps", "users"}):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"), connection.transaction():
            connection.execute(f"UPDATE {table} SET user_id = %s", [people[1]])
        tried += 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"), connection.transaction():
        connection.execute(
            "INSERT INTO audit (id, user_id, action, result) VALUES (%s, %s, 'x', 'ok')", [new_id(), people[1]]
        )
    assert tried > 2


def test_only_an_administrator_writes_the_catalog(acting, people, database_url):
    """Modules are read by all; a user's transaction cannot write them, an administrator's can, nobody's cannot."""
    statement = "INSERT INTO modules (module, version, hash, doc, origin) VALUES ('mine', 1, '', '{}', 'admin')"
    for user in (None, people[0]):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"):
            acting(API, user).execute(statement)
        assert acting(API, user).execute("UPDATE modules SET hash = 'x'").rowcount == 0
    with psycopg.connect(database_url) as admin:
        admin.execute("UPDATE users SET role = 'admin', status = 'active' WHERE id = %s", [people[1]])
    assert acting(API, people[1]).execute(statement).rowcount == 1


@pytest.mark.parametrize("role", roles)
def test_partitions_are_no_way_around(acting, role):
    """A partition, which has no policy of its own, is open to no role."""
    connection = acting(role)
    found = connection.execute(
        "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'"
        " AND has_any_column_privilege(oid, 'SELECT')"
    )
    assert found.fetchall() == []


def test_steps_of_a_replay_are_the_users_own(acting, people):
    """The door that copies steps takes them from the transaction's user alone, and to no run that is there."""

    def copied(user, source, target):
        connection = acting(API, user)
        connection.execute("SELECT copy_steps(%s, %s, 2)", [source, target])
        connection.execute("SET ROLE NONE")
        return connection.execute("SELECT count(*) FROM steps WHERE run_id = %s", [target]).fetchone()[0]

    mine = acting(API, people[0]).execute("SELECT id FROM runs").fetchone()[0]
    theirs = acting(API, people[1]).execute("SELECT id FROM runs").fetchone()[0]
    assert copied(people[0], mine, new_id()) == 1
    assert copied(people[0], theirs, new_id()) == 0
    assert copied(None, mine, new_id()) == 0
    assert copied(people[0], mine, theirs) == 1  # what was there: its own


def test_runs_are_forgotten_of_accounts_that_are_gone_alone(acting, people):
    """The door that removes what an account left behind does nothing to one that is there."""
    assert acting(AUTH).execute("SELECT forget_runs(%s, 10)", [people[0]]).fetchone() == (0,)
    connection = acting(AUTH)
    connection.execute("DELETE FROM users WHERE id = %s", [people[0]])
    assert connection.execute("SELECT forget_runs(%s, 10)", [people[0]]).fetchone() == (1,)


def test_connections_of_the_instance_are_used_and_not_read(acting, people, database_url):
    """A user neither sees nor writes them, and learns by a door that they are there; an administrator does both."""
    shared, values = new_id(), "(id, module, auth, name, config, sealed) VALUES (%s, 'm', 'key', 'K', '{}', 'x')"
    with psycopg.connect(database_url) as admin:
        admin.execute(f"INSERT INTO connections {values}", [shared])
        admin.execute("UPDATE users SET role = 'admin', status = 'active' WHERE id = %s", [people[1]])
    user, administrator = acting(API, people[0]), acting(API, people[1])
    read = "SELECT count(*) FROM connections WHERE id = %s"
    assert user.execute(read, [shared]).fetchone() == (0,)
    assert administrator.execute(read, [shared]).fetchone() == (1,)
    assert user.execute("SELECT id, module, auth FROM instance_connections()").fetchall() == [(shared, "m", "key")]
    change = "UPDATE connections SET name = 'x' WHERE id = %s"
    assert user.execute(change, [shared]).rowcount == 0
    assert administrator.execute(change, [shared]).rowcount == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"):
        user.execute(f"INSERT INTO connections {values}", [new_id()])


def test_only_an_administrator_stores_oauth_clients(acting, people, database_url):
    """Everybody may see which clients there are; only an administrator's transaction writes them."""
    statement = "INSERT INTO oauth_clients (id, module, auth, client_id) VALUES (%s, 'mine', 'oauth', 'c')"
    with psycopg.connect(database_url) as admin:
        admin.execute("UPDATE users SET role = 'admin', status = 'active' WHERE id = %s", [people[1]])
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level"):
        acting(API, people[0]).execute(statement, [new_id()])
    assert acting(API, people[0]).execute("DELETE FROM oauth_clients").rowcount == 0
    assert acting(API, people[1]).execute(statement, [new_id()]).rowcount == 1
