"""Bring a database to this version's schema, one process at a time, and refuse one that cannot promise durability."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from taske_ray.core.durable import Server, objection
from taske_ray.db.database import connecting, roles, sqlalchemy_url
from taske_ray.errors import StartRefused

_LOCK = 0x7461736B65  # "taske"
_SERVER = (
    "SELECT current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,"
    " current_setting('server_encoding') AS server_encoding,"
    " current_setting('synchronous_commit') AS synchronous_commit,"
    " current_setting('server_version_num')::int AS server_version_num, pg_is_in_recovery() AS in_recovery,"
    " (SELECT relname::text FROM pg_class WHERE relpersistence = 'u' AND relkind IN ('r', 'p')"
    "         AND relnamespace = current_schema()::regnamespace LIMIT 1) AS unlogged"
)
_TOO_MIGHTY = (
    "SELECT r.rolname FROM pg_roles r WHERE r.rolname = ANY(:roles) AND (r.rolsuper OR r.rolbypassrls"
    " OR EXISTS (SELECT FROM pg_roles o WHERE pg_has_role(r.oid, o.oid, 'MEMBER')"
    "            AND (o.rolsuper OR o.rolbypassrls OR o.oid IN (SELECT relowner FROM pg_class WHERE relnamespace ="
    " current_schema()::regnamespace)))) LIMIT 1"
)
_MIGRATIONS = Path(__file__).parent / "migrations"
_RIGHTS = ("roles.sql", "doors.sql", "policies.sql")
_WEEKS_AHEAD = (
    "SELECT ensure_partition(parent, clock_timestamp() + make_interval(weeks => week))"
    " FROM unnest(ARRAY['runs', 'steps', 'attempts']) AS parent, generate_series(0, 3) AS week"
)


def upgrade(url: str) -> None:
    """Apply every migration that is missing, under an advisory lock.

    Raises StartRefused for an unsafe server, and for a schema that a newer version has made.
    """
    with _connection(url) as connection, connection.begin():
        _check_server(connection)
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["connection"] = connection
        _refuse_newer(connection, ScriptDirectory.from_config(config))
        command.upgrade(config, "head")
        _set_roles(connection)
        # a service that was away for weeks finds its partitions made before the first run
        connection.execute(text(_WEEKS_AHEAD))


@contextlib.contextmanager
def _connection(url: str) -> Iterator[Connection]:
    """Connect as the processes do; raises StartRefused where nothing can be written."""
    engine = create_engine(sqlalchemy_url(url), connect_args=dict(connecting))
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        if "session is read-only" in str(error.orig):
            message = "PostgreSQL takes no writes (a standby?): TASKE_DATABASE_URL must name the primary server"
            raise StartRefused(message) from error
        raise
    finally:
        engine.dispose()


def _refuse_newer(connection: Connection, known: ScriptDirectory) -> None:
    """Raise StartRefused, before anything is changed, for a schema of which this version does not know what it holds.

    Its rights and policies are the newer version's, too: setting ours would take from it what it works with.
    """
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {one.revision for one in known.walk_revisions()}:
        message = (
            f"The database's schema is {found}, and this version of Taske knows it up to {known.get_current_head()}:"
            " a newer version has migrated it. Start that version, or a newer one"
        )
        raise StartRefused(message)


def _set_roles(connection: Connection) -> None:
    """Make the roles, where the login may, and give them their rights. Raises StartRefused where it may not."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    try:
        for name in _RIGHTS:
            driver.execute((_MIGRATIONS / name).read_text(encoding="utf-8"))
    except psycopg.errors.InsufficientPrivilege as error:
        login = driver.info.user
        message = (
            f"The database login {login!r} may not create the roles of the service: let an administrator run"
            f" {' '.join(f'CREATE ROLE {role} NOLOGIN;' for role in roles)} GRANT {', '.join(roles)} TO {login};"
        )
        raise StartRefused(message) from error
    _check_roles(connection)


def _check_roles(connection: Connection) -> None:
    """Raise StartRefused for a role that row-level security would not hold: one that may more than it should."""
    found = connection.execute(text(_TOO_MIGHTY), {"roles": list(roles)}).scalar()
    if found is not None:
        raise StartRefused(f"The database role {found} must be no superuser, owner or BYPASSRLS, nor member of one")


def _check_server(connection: Connection) -> None:
    """Raise StartRefused, naming the setting, unless what this server acknowledges is durable (durability, 11.1)."""
    found = objection(Server(**connection.execute(text(_SERVER)).one()._mapping))  # noqa: SLF001 - public by its docs
    if found is not None:
        raise StartRefused(found)


def complaint(url: str) -> str | None:
    """What makes this server unsafe now, or that it does not answer; None: nothing. For who looks from outside."""
    try:
        with _connection(url) as connection:
            _check_server(connection)
            _check_roles(connection)
    except StartRefused as refusal:
        return refusal.message
    except OperationalError:
        return "it does not answer"
    return None
