-- Give runs back to the queue, for a drain: only those with no call in flight (durability, 10.1).
UPDATE runs r SET status = 'queued', owner = NULL, fence = r.fence + 1, available_at = clock_timestamp()
FROM unnest(%(run_ids)s::uuid[], %(fences)s::bigint[]) AS a(run_id, fence)
WHERE r.id = a.run_id AND r.fence = a.fence AND r.status = 'running' AND r.owner = %(owner)s
      AND NOT EXISTS (SELECT FROM attempts t WHERE t.run_id = r.id AND t.status = 'dispatched')
RETURNING r.id
