-- The text of a task as it was saved; versions never change.
SELECT v.task_id, v.version, v.user_id, v.spec, v.pins, t.name
FROM task_versions v JOIN tasks t ON t.id = v.task_id
WHERE v.task_id = %(task_id)s AND v.version = %(version)s
