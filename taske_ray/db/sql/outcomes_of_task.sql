-- What became of a task's latest runs, as far as they did not succeed, by code: what failed, what waits and for what.
WITH latest AS (
    SELECT id, status, error FROM runs
    WHERE task_id = %(task_id)s AND user_id = %(user_id)s ORDER BY id DESC LIMIT %(most)s
),
reasons AS (
    SELECT l.id, l.status, coalesce(l.error ->> 'code', s.error ->> 'code', l.status) AS code
    FROM latest l LEFT JOIN LATERAL (
        SELECT error FROM steps WHERE run_id = l.id AND l.status = 'waiting' ORDER BY step DESC LIMIT 1
    ) s ON true
    WHERE l.status IN ('queued', 'waiting', 'failed', 'needs_attention')
)
SELECT status, code, count(*) AS count, (array_agg(id ORDER BY id DESC))[1] AS run_id
FROM reasons GROUP BY status, code ORDER BY status, count DESC, code
