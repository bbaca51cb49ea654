-- Take runs that took two of their hosts along without getting on, oldest first: for a host where they execute alone
-- (durability, 5.7).
WITH locked AS (
    SELECT id FROM runs
    WHERE crashes >= 2 AND status IN ('queued', 'waiting') AND available_at <= clock_timestamp()
    ORDER BY available_at LIMIT %(most)s
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE runs r SET status = 'running', owner = %(owner)s, assigned_at = clock_timestamp(), fence = r.fence + 1,
                  claims = r.claims + 1
FROM locked l WHERE r.id = l.id
RETURNING r.id AS run_id, r.owner AS host, r.fence, r.user_id, r.task_id, r.task_version, r.trigger_id, r.input, r.depth,
          (SELECT t.id FROM tasks t WHERE t.id = r.task_id) IS NULL AS orphaned
