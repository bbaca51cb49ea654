-- Runs that this host owns and has not started although they were given to it two seconds ago: the nudge was lost (4.2).
SELECT id AS run_id, owner AS host, fence, user_id, task_id, task_version, trigger_id, input
FROM runs
WHERE owner = %(owner)s AND status = 'running' AND started_at IS NULL
      AND assigned_at < clock_timestamp() - interval '2 s'
LIMIT 500
