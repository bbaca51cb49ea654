-- Remove a task with its versions and its trigger; what it ran stays in the history.
WITH task AS (
    DELETE FROM tasks
    WHERE id = %(task_id)s AND user_id = %(user_id)s AND (%(expected)s::int IS NULL OR version = %(expected)s)
    RETURNING id
),
trail AS (
    INSERT INTO audit SELECT act.* FROM task, act_of(%(act)s::jsonb) AS act
)
SELECT id FROM task
