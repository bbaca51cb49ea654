-- A task, its first version and its trigger, together; nothing when the user has as many tasks as allowed. The caller
-- holds the user's lock, so that a hundred creates at limit - 1 make one.
WITH counted AS (
    SELECT count(*) AS tasks FROM (SELECT FROM tasks WHERE user_id = %(user_id)s LIMIT %(task_limit)s) AS those
),
task AS (
    INSERT INTO tasks (id, user_id, name, enabled, version, overlap)
    SELECT %(task_id)s, %(user_id)s, %(name)s, %(enabled)s, 1, %(overlap)s
    FROM counted WHERE tasks < %(task_limit)s
    RETURNING id
),
version AS (
    INSERT INTO task_versions (task_id, version, user_id, spec, pins)
    SELECT id, 1, %(user_id)s, %(spec)s::jsonb, %(pins)s::jsonb FROM task
),
trail AS (
    INSERT INTO audit SELECT act.* FROM task, act_of(%(act)s::jsonb) AS act
)
INSERT INTO triggers (id, user_id, task_id, version, kind, capability, capability_version, connection_id, spec, enabled,
                      overlap, misfire, anchor_at, next_fire_at, hook_mode, hook_hash, hook_data_key, hook_sealed)
SELECT %(trigger_id)s, %(user_id)s, id, 1, %(kind)s, %(capability)s, %(capability_version)s, %(connection_id)s,
       %(trigger_spec)s::jsonb, %(enabled)s, %(overlap)s, %(misfire)s, %(anchor_at)s, %(next_fire_at)s, %(hook_mode)s,
       %(hook_hash)s, %(hook_data_key)s, %(hook_sealed)s
FROM task
RETURNING task_id
