-- Runs that this host was given two seconds ago and has written nothing of since: the nudge, or the answer to a claim, was
-- lost (4.2). A run's first write by its owner clears `assigned_at`, also when it had begun long ago on another host.
SELECT id AS run_id, owner AS host, fence, user_id, task_id, task_version, trigger_id, input, depth,
       (SELECT t.id FROM tasks t WHERE t.id = runs.task_id) IS NULL AS orphaned
FROM runs
WHERE owner = %(owner)s AND status = 'running' AND assigned_at < clock_timestamp() - interval '2 s'
LIMIT 500
