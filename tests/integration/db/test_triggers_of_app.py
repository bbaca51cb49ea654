"""From the tenant that a delivery to an app names to its triggers: by an index, and exactly."""

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from taske_ray.clock import new_id
from taske_ray.db import queries

pytestmark = pytest.mark.integration
TRIGGER = """
WITH given AS (SELECT %(id)s::uuid AS id, u.id AS user_id FROM users u WHERE u.email = 'apps@example.com'),
connection AS (INSERT INTO connections (id, user_id, module, auth, name, config)
               SELECT id, user_id, 'slack', 'oauth', 'x', %(config)s FROM given),
task AS (INSERT INTO tasks (id, user_id, name, enabled, version) SELECT id, user_id, 'x', true, 1 FROM given)
INSERT INTO triggers (id, user_id, task_id, version, kind, capability, capability_version, connection_id, spec, enabled,
                      hook_mode)
SELECT id, user_id, id, 1, 'webhook', 'slack.message.received', 1, id, '{}', true, 'app' FROM given
"""


@pytest.fixture
def connection(fresh_database_url):
    with psycopg.connect(fresh_database_url, autocommit=True, row_factory=dict_row) as found:
        found.execute("INSERT INTO users (id, email) VALUES (%s, 'apps@example.com')", [new_id()])
        yield found


def test_a_tenant_is_who_it_says(connection):
    """Text and number are the same tenant where they are written the same, and nobody else's."""
    of = {}
    for tenant in ("T1", "T10", 7, "007", None, ["T1"]):
        of[str(tenant)] = new_id()
        connection.execute(TRIGGER, {"id": of[str(tenant)], "config": Jsonb({"team_id": tenant})})

    def triggers(tenant):
        asked = {"module": "slack", "match": "team_id", "tenant": tenant}
        return [row["trigger_id"] for row in connection.execute(queries.triggers_of_app, asked).fetchall()]

    for tenant in ("T1", "T10", "7", "007"):
        assert triggers(tenant) == [of[tenant]]
    for nobody in ("T", "t1", "07", "7.0", "", "null", "9" * 40):
        assert triggers(nobody) == []


def test_a_delivery_looks_at_no_other_tenant(connection):
    """However many connections there are, the index finds those of the tenant."""
    connection.execute("SET enable_seqscan = off")
    connection.execute("SET plan_cache_mode = force_generic_plan")
    text = queries.triggers_of_app
    for number, name in enumerate(("module", "match", "tenant"), 1):
        text = text.replace(f"%({name})s", f"${number}")
    connection.execute(f"PREPARE asked (text, text, text) AS {text}")
    plan = connection.execute("EXPLAIN EXECUTE asked('slack', 'team_id', 'T1')").fetchall()
    assert any("Index Cond: (config @>" in row["QUERY PLAN"] for row in plan), plan
