-- Give runs that nobody executes any more back to the queue; a call that was cut off has an unknown outcome.
-- One that nobody gets on with ends as poison (durability, 5.7).
WITH mine AS (
    SELECT r.id, r.claims FROM runs r
    JOIN unnest(%(run_ids)s::uuid[], %(fences)s::bigint[]) AS a(run_id, fence) ON r.id = a.run_id AND r.fence = a.fence
    WHERE r.status = 'running' AND r.owner = %(owner)s
    ORDER BY r.id FOR NO KEY UPDATE OF r
),
unknown AS (
    UPDATE attempts a SET status = 'unknown', finished_at = clock_timestamp(),
        error = jsonb_build_object('code', 'released', 'message', 'The host gave this run back while the call was open')
    FROM mine m WHERE a.run_id = m.id AND a.status = 'dispatched'
),
moved AS (
    UPDATE runs r SET owner = NULL, fence = r.fence + 1, available_at = clock_timestamp(),
        status = CASE WHEN m.poison THEN 'failed' ELSE 'queued' END,
        finished_at = CASE WHEN m.poison THEN clock_timestamp() END,
        error = CASE WHEN m.poison THEN jsonb_build_object('class', 'fatal', 'code', 'poison', 'message',
            concat('This run was taken up ', r.claims, ' times without getting on.')) ELSE r.error END
    FROM (SELECT id, claims >= 20 AS poison FROM mine) m WHERE r.id = m.id
    RETURNING r.id, r.fence, r.status
),
told AS (
    INSERT INTO run_ends (run_id, fence, status) SELECT id, fence, status FROM moved WHERE status = 'failed'
)
SELECT id FROM moved
