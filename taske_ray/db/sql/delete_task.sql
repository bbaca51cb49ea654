-- Remove a task with its versions and its trigger; what it ran stays in the history.
WITH task AS (
    DELETE FROM tasks
    WHERE id = %(task_id)s AND user_id = %(user_id)s AND (%(expected)s::int IS NULL OR version = %(expected)s)
    RETURNING id
),
trail AS (
    INSERT INTO audit (id, user_id, session_id, key_id, address, action, object, result, detail)
    SELECT act.id, act.user_id, act.session_id, act.key_id, act.address, act.action, act.object, act.result, act.detail
    FROM task, jsonb_to_record(%(act)s::jsonb) AS act(id uuid, user_id uuid, session_id uuid, key_id uuid, address text,
                                                       action text, object text, result text, detail jsonb)
)
SELECT id FROM task
