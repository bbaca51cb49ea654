-- Runs of one user, newest first: their ids are times.
SELECT id, user_id, task_id, task_version, trigger_id, status, input, error, scheduled_at, replay_of, created_at,
       started_at, finished_at
FROM runs
WHERE user_id = %(user_id)s
  AND (%(status)s::text IS NULL OR status = %(status)s)
  AND (%(created_after)s::timestamptz IS NULL OR created_at >= %(created_after)s)
  AND (%(created_before)s::timestamptz IS NULL OR created_at < %(created_before)s)
  AND id < coalesce(%(after)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
ORDER BY id DESC
LIMIT %(limit)s
