-- Remove a task with its versions and its trigger; what it ran stays in the history.
DELETE FROM tasks
WHERE id = %(task_id)s AND user_id = %(user_id)s AND (%(expected)s::int IS NULL OR version = %(expected)s)
RETURNING id
