"""The schema, the statements and the table classes belong together: each is checked against the migrated database."""

import re
from importlib.resources import files

import psycopg
import pytest
from sqlalchemy import inspect
from sqlmodel import SQLModel, create_engine

from taske_ray.db import queries, tables
from taske_ray.db.database import sqlalchemy_url

pytestmark = pytest.mark.integration
STATEMENTS = sorted(path.name.removesuffix(".sql") for path in files("taske_ray.db").joinpath("sql").iterdir())
TABLES = sorted(SQLModel.metadata.tables)
assert tables


def numbered(statement):
    """The statement with `$n` for its named parameters, as PREPARE wants them."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    text = re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", statement)
    return text.replace("%%", "%"), len(names)


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_is_understood_by_the_schema(database_url, name):
    """PostgreSQL prepares the statement and plans it for any values: its tables, columns and types are right."""
    text, count = numbered(queries.statement(name))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute(f"PREPARE checked AS {text}")
        nulls = f"({', '.join(['NULL'] * count)})" if count else ""
        plan = connection.execute(f"EXPLAIN EXECUTE checked{nulls}").fetchall()
    assert plan


def test_statements_are_found_by_name():
    """A statement is an attribute of `queries`; one that does not exist is an AttributeError."""
    assert "claims" in queries.claim_runs
    with pytest.raises(AttributeError):
        _ = queries.drop_everything


@pytest.fixture(scope="module")
def schema(database_url):
    """What SQLAlchemy sees in the migrated database."""
    engine = create_engine(sqlalchemy_url(database_url))
    yield inspect(engine)
    engine.dispose()


@pytest.mark.parametrize("name", TABLES)
def test_table_classes_name_what_the_migration_made(schema, name):
    """A table class and its table have the same columns, types, nullability and primary key."""
    table = SQLModel.metadata.tables[name]
    found = {column["name"]: column for column in schema.get_columns(name)}
    assert set(table.columns.keys()) == set(found)
    for column in table.columns:
        real = found[column.name]
        wanted = column.type.compile(dialect=schema.dialect)
        assert real["type"].compile(dialect=schema.dialect) == wanted, column.name
        if not column.nullable:  # the class may be laxer where the database fills a value in
            assert not real["nullable"], column.name
        elif not real["nullable"]:
            assert real["default"] is not None, column.name
    assert [column.name for column in table.primary_key] == schema.get_pk_constraint(name)["constrained_columns"]


def test_the_schema_has_no_table_without_a_reader(schema):
    """Tables without a class are those that only statements of `db/sql` touch."""
    partitions = re.compile(r"^(runs|steps|attempts)_(rest|\d{4}w\d{2})$")
    found = {name for name in schema.get_table_names() if not partitions.match(name)}
    unread = found - set(TABLES) - {"alembic_version"}
    texts = " ".join(queries.statement(name) for name in STATEMENTS)
    assert not {name for name in unread if not re.search(rf"\b{name}\b", texts)}


def test_both_unique_indexes_of_d2_exist(database_url):
    """One event per key and one success per step are promises of the database itself."""
    with psycopg.connect(database_url) as connection:
        found = {
            row[0]: row[1]
            for row in connection.execute(
                "SELECT c.relname, pg_get_indexdef(i.indexrelid) FROM pg_index i"
                " JOIN pg_class c ON c.oid = i.indrelid WHERE i.indisunique AND c.relname IN ('events', 'attempts')"
                " ORDER BY i.indisprimary DESC"
            )
        }
    assert "(trigger_id, fire_key)" in found["events"]
    assert "(run_id, step) WHERE (status = 'succeeded'" in found["attempts"]
