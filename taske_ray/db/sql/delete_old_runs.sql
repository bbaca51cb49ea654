-- A batch of finished runs of weeks that are over since `kept_days`, where the week could not be dropped as a whole.
WITH edge AS MATERIALIZED (
    SELECT week_floor_uuid(clock_timestamp() - make_interval(days => %(kept_days)s)) AS id
),
gone AS (
    DELETE FROM runs r USING edge
    WHERE r.id < edge.id AND r.id IN (
        SELECT o.id FROM runs o, edge e WHERE o.id < e.id AND o.status IN ('succeeded', 'failed', 'cancelled')
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
