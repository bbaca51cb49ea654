-- Runs whose owner is not live go back to the queue; their open calls become unknown (durability, 5.5). One reaper at a
-- time; the lock is of the statement's transaction. A run that takes its hosts along, or that nobody gets on with, ends
-- as poison (5.7).
WITH turn AS (
    SELECT pg_try_advisory_xact_lock(%(lock)s) AS mine
),
gone AS (
    UPDATE hosts SET state = 'dead' FROM turn
    WHERE turn.mine AND %(lapsed)s AND state = 'live' AND expires_at < clock_timestamp()
    RETURNING id
),
orphan AS (
    SELECT r.id, r.claims, r.crashes + (SELECT count(*) FROM hosts h WHERE h.id = r.owner AND h.state = 'crashed') AS crashes
    FROM runs r, turn
    WHERE turn.mine AND r.status = 'running'
      AND (r.owner IN (SELECT id FROM gone)
           OR NOT EXISTS (SELECT FROM hosts h WHERE h.id = r.owner AND h.state = 'live'))
    ORDER BY r.id LIMIT 500 FOR NO KEY UPDATE OF r SKIP LOCKED
),
unknown AS (
    UPDATE attempts a SET status = 'unknown', finished_at = clock_timestamp(),
        error = jsonb_build_object('code', 'host_lost', 'message', 'The host of this run was lost while the call was open')
    FROM orphan o WHERE a.run_id = o.id AND a.status = 'dispatched'
),
moved AS (
    UPDATE runs r SET owner = NULL, fence = r.fence + 1, available_at = clock_timestamp(), crashes = o.crashes,
        status = CASE WHEN o.poison THEN 'failed' ELSE 'queued' END,
        finished_at = CASE WHEN o.poison THEN clock_timestamp() END,
        error = CASE WHEN o.poison THEN jsonb_build_object('class', 'fatal', 'code', 'poison', 'message',
            concat('This run was taken up ', o.claims, ' times without getting on; its process ended ', o.crashes, ' times.'))
            ELSE r.error END
    FROM (SELECT *, crashes >= 5 OR claims >= 20 AS poison FROM orphan) o WHERE r.id = o.id
    RETURNING r.id, r.fence, r.status
),
told AS (
    INSERT INTO run_ends (run_id, fence, status) SELECT id, fence, status FROM moved WHERE status = 'failed'
)
SELECT id FROM moved
