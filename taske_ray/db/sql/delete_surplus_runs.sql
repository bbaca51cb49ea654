-- A batch of the oldest finished runs of one user beyond the newest `kept`.
WITH edge AS MATERIALIZED (
    SELECT id FROM runs WHERE user_id = %(user_id)s ORDER BY id DESC OFFSET %(kept)s LIMIT 1
),
gone AS (
    DELETE FROM runs r WHERE r.id IN (
        SELECT o.id FROM runs o, edge e
        WHERE o.user_id = %(user_id)s AND o.id <= e.id AND o.status IN ('succeeded', 'failed', 'cancelled')
        ORDER BY o.id LIMIT %(most)s)
    RETURNING r.id
),
attempts_gone AS (
    DELETE FROM attempts a USING gone WHERE a.run_id = gone.id
),
steps_gone AS (
    DELETE FROM steps s USING gone WHERE s.run_id = gone.id
)
SELECT count(*) AS deleted FROM gone
