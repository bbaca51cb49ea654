-- Another token for a hook. The same text becomes the next version, because that is what ends a hook that a replica has
-- in memory: a delivery to the old token is of a version that is no longer there, or of no hook at all.
WITH task AS (
    UPDATE tasks SET version = version + 1, updated_at = clock_timestamp()
    WHERE id = %(task_id)s AND user_id = %(user_id)s AND version = %(expected)s
    RETURNING id, version
),
saved AS (
    INSERT INTO task_versions (task_id, version, user_id, spec, pins)
    SELECT task.id, task.version, v.user_id, v.spec, v.pins
    FROM task JOIN task_versions v ON v.task_id = task.id AND v.version = task.version - 1
),
trail AS (
    INSERT INTO audit SELECT act.* FROM task, act_of(%(act)s::jsonb) AS act
)
UPDATE triggers SET version = task.version, hook_hash = %(hook_hash)s, hook_data_key = %(hook_data_key)s,
    hook_sealed = %(hook_sealed)s, change = nextval('trigger_changes'), updated_at = clock_timestamp()
FROM task WHERE triggers.task_id = task.id AND triggers.kind = 'webhook'
RETURNING task.version
