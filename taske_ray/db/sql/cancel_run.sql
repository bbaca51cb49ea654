-- Cancel: at once where nothing is executing; a running run is told, and opens no further step.
WITH target AS (
    SELECT id, status FROM runs WHERE id = %(run_id)s AND user_id = %(user_id)s FOR NO KEY UPDATE
)
UPDATE runs r SET
    cancel_requested_at = coalesce(r.cancel_requested_at, clock_timestamp()),
    status = CASE WHEN t.status = 'running' THEN 'running' ELSE 'cancelled' END,
    finished_at = CASE WHEN t.status <> 'running' THEN clock_timestamp() END,
    fence = CASE WHEN t.status = 'running' THEN r.fence ELSE r.fence + 1 END
FROM target t
WHERE r.id = t.id AND t.status IN ('queued', 'waiting', 'running', 'needs_attention')
RETURNING r.status
