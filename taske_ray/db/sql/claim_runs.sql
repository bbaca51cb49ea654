-- Take queued and due runs, fair by user and not by age (durability, 4.3): each user's first, then each user's second, …
-- A user alone may have every slot there is; while others have due runs queued, half of them, at least 10 (12).
-- Who has due runs is told by the 500 that have been due longest; where that many are due, by a loose index scan over
-- the users, which goes on where the host's last claim came to and ends when twice as many users are ready as runs are
-- wanted: ten thousand users take turns in rounds. Of users whose runs all sleep it passes a thousand and goes on in the
-- next claim; where it finds too few who are ready, the oldest will do. The clock is read in a sub-select, because an index cannot be searched
-- by a function that changes while it is: a million runs that sleep are passed over without being read.
-- FOR UPDATE is not allowed beside window functions, hence pick, lock, check again.
WITH RECURSIVE oldest AS MATERIALIZED (
    SELECT user_id, priority FROM runs
    WHERE status IN ('queued', 'waiting') AND available_at <= (SELECT clock_timestamp()) AND crashes < 2
    ORDER BY available_at LIMIT 500
),
flood AS (
    SELECT count(*) = 500 AS is_on FROM oldest
),
slots AS (
    SELECT sum(capacity) AS n FROM hosts WHERE kind = 'run' AND state = 'live' AND expires_at > clock_timestamp()
),
busy AS MATERIALIZED (
    SELECT user_id, count(*) AS n FROM runs WHERE status = 'running' GROUP BY user_id
),
queued(user_id, priority, is_due, ready, wrapped, passed) AS (    -- a round over the users, from where the last claim came to
    SELECT %(after)s::uuid, 32767::smallint, false, 0, false, 0 WHERE (SELECT is_on FROM flood)
    UNION ALL
    SELECT n.user_id, n.priority, d.is_due, q.ready + (d.is_due AND d.free)::int, n.wrapped, q.passed + 1
    FROM queued q
    CROSS JOIN LATERAL (
        (SELECT user_id, priority, q.wrapped AS wrapped FROM runs
         WHERE status IN ('queued', 'waiting') AND (user_id, priority) > (q.user_id, q.priority)
         ORDER BY user_id, priority LIMIT 1)
        UNION ALL
        (SELECT user_id, priority, true FROM runs
         WHERE status IN ('queued', 'waiting') AND NOT q.wrapped ORDER BY user_id, priority LIMIT 1)
        LIMIT 1
    ) n
    CROSS JOIN LATERAL (
        SELECT EXISTS (SELECT FROM (    -- the first, in order: for EXISTS alone the planner would read the table
                   SELECT FROM runs
                   WHERE status IN ('queued', 'waiting') AND user_id = n.user_id AND priority = n.priority
                     AND available_at <= (SELECT clock_timestamp()) AND crashes < 2
                   ORDER BY available_at, id LIMIT 1) first) AS is_due,
               coalesce((SELECT b.n FROM busy b WHERE b.user_id = n.user_id), 0)
                   < least(%(share)s::bigint, (SELECT greatest(10, slots.n / 2) FROM slots)) AS free
    ) d
    WHERE q.ready < 2 * %(most)s AND q.passed < 1000 AND NOT (n.wrapped AND n.user_id > %(after)s::uuid)
),
due AS MATERIALIZED (
    SELECT user_id, priority FROM oldest WHERE coalesce((SELECT max(ready) FROM queued), 0) < %(most)s
    UNION
    SELECT user_id, priority FROM queued WHERE is_due
),
allowed AS (
    SELECT least(%(share)s::bigint, CASE WHEN (SELECT count(DISTINCT user_id) FROM due) > 1 THEN greatest(10, n / 2)
                                         ELSE n END) AS n
    FROM slots
),
turn AS (       -- how many more each user may have
    SELECT d.user_id, d.priority, coalesce(b.n, 0) AS busy, greatest(0, (SELECT n FROM allowed) - coalesce(b.n, 0)) AS free
    FROM due d LEFT JOIN busy b USING (user_id)
),
crowd AS (      -- where there are more users than runs to take, a few of each will do: they take turns
    SELECT CASE WHEN count(DISTINCT user_id) >= %(most)s THEN ceil(4.0 * %(most)s / count(DISTINCT user_id))
                ELSE %(most)s END AS each
    FROM turn WHERE free > 0
),
candidate AS (
    SELECT c.id, t.busy, t.free,
           row_number() OVER (PARTITION BY t.user_id ORDER BY t.priority, c.available_at, c.id) AS place
    FROM turn t CROSS JOIN LATERAL (
        SELECT id, available_at FROM runs
        WHERE status IN ('queued', 'waiting') AND user_id = t.user_id AND priority = t.priority
          AND available_at <= (SELECT clock_timestamp()) AND crashes < 2    -- others execute alone (claim_suspects)
        ORDER BY available_at, id LIMIT least(t.free, (SELECT each FROM crowd))
    ) c
),
pick AS (
    SELECT id FROM candidate WHERE place <= free ORDER BY place + busy, random() LIMIT %(most)s
),
locked AS (
    SELECT r.id FROM runs r JOIN pick USING (id)
    WHERE r.status IN ('queued', 'waiting')
    FOR NO KEY UPDATE OF r SKIP LOCKED
),
taken AS (
    UPDATE runs r SET status = 'running', owner = %(owner)s, assigned_at = clock_timestamp(), fence = r.fence + 1,
                      claims = r.claims + 1
    FROM locked l WHERE r.id = l.id
    RETURNING r.id AS run_id, r.owner AS host, r.fence, r.user_id, r.task_id, r.task_version, r.trigger_id, r.input, r.depth
)
-- One row at least: how far it came is told although nothing was taken.
SELECT taken.*, (SELECT t.id FROM tasks t WHERE t.id = taken.task_id) IS NULL AS orphaned,
       (SELECT user_id FROM queued ORDER BY wrapped DESC, user_id DESC LIMIT 1) AS reached
FROM (SELECT) one LEFT JOIN taken ON true
