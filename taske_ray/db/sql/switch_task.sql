-- Enable or disable a task and its trigger.
WITH task AS (
    UPDATE tasks SET enabled = %(enabled)s, updated_at = clock_timestamp()
    WHERE id = %(task_id)s AND user_id = %(user_id)s AND version = %(expected)s
    RETURNING id
),
trail AS (
    INSERT INTO audit SELECT act.* FROM task, act_of(%(act)s::jsonb) AS act
)
UPDATE triggers SET enabled = %(enabled)s, paused_reason = NULL, consecutive_errors = 0,
    anchor_at = CASE WHEN %(enabled)s THEN %(anchor_at)s::timestamptz ELSE anchor_at END,
    next_fire_at = CASE WHEN %(enabled)s THEN %(next_fire_at)s::timestamptz END,
    change = nextval('trigger_changes'), updated_at = clock_timestamp()
FROM task WHERE triggers.task_id = task.id
RETURNING task_id
