-- One run of one user.
SELECT id, user_id, task_id, task_version, trigger_id, status, input, error, scheduled_at, replay_of, created_at,
       started_at, finished_at
FROM runs
WHERE id = %(run_id)s AND user_id = %(user_id)s
