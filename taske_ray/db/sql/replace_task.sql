-- The next version of a task and its trigger, if the version it was decided on is still the newest.
-- A trigger that watches something else now starts from nothing: its cursor and ledger go. Where runs must not overlap
-- from now on, those that are live, or parked, count too, whatever held when they were fired (durability, 3.4).
WITH task AS (
    UPDATE tasks SET name = %(name)s, enabled = %(enabled)s, overlap = %(overlap)s, version = version + 1,
                     updated_at = clock_timestamp()
    WHERE id = %(task_id)s AND user_id = %(user_id)s AND version = %(expected)s
    RETURNING id, version
),
saved AS (
    INSERT INTO task_versions (task_id, version, user_id, spec, pins)
    SELECT id, version, %(user_id)s, %(spec)s::jsonb, %(pins)s::jsonb FROM task
),
alive AS (
    SELECT r.id FROM runs r, task
    WHERE r.task_id = task.id AND r.user_id = %(user_id)s AND NOT r.exclusive AND %(overlap)s <> 'allow'
      AND r.status IN ('queued', 'running', 'waiting', 'needs_attention')
    ORDER BY r.id FOR NO KEY UPDATE OF r
),
marked AS (
    UPDATE runs SET exclusive = true FROM alive WHERE runs.id = alive.id
),
forgotten AS (
    DELETE FROM poll_ledger USING task WHERE trigger_id = %(trigger_id)s AND %(reset)s
),
trail AS (
    INSERT INTO audit SELECT act.* FROM task, act_of(%(act)s::jsonb) AS act
)
UPDATE triggers SET version = task.version, kind = %(kind)s, capability = %(capability)s,
    capability_version = %(capability_version)s, connection_id = %(connection_id)s, spec = %(trigger_spec)s::jsonb,
    enabled = %(enabled)s, paused_reason = NULL, overlap = %(overlap)s, misfire = %(misfire)s,
    anchor_at = %(anchor_at)s, next_fire_at = %(next_fire_at)s,
    cursor = CASE WHEN %(reset)s THEN NULL ELSE cursor END,
    cursor_version = cursor_version + CASE WHEN %(reset)s THEN 1 ELSE 0 END, consecutive_errors = 0,
    hook_mode = %(hook_mode)s, hook_hash = %(hook_hash)s, hook_data_key = %(hook_data_key)s, hook_sealed = %(hook_sealed)s,
    change = nextval('trigger_changes'), updated_at = clock_timestamp()
FROM task WHERE triggers.task_id = task.id
RETURNING task.version
