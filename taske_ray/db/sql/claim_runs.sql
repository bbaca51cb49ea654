-- Take queued and due runs, fair by user and not by age (durability, 4.3): each user's first, then each user's second, …
-- A user alone may have every slot there is; while others have due runs queued, half of them, at least 10 (12).
-- Users come from a loose index scan. FOR UPDATE is not allowed beside window functions, hence pick, lock, check again.
WITH RECURSIVE queued_user(id) AS (
    (SELECT user_id FROM runs WHERE status IN ('queued', 'waiting') ORDER BY user_id LIMIT 1)
    UNION ALL
    SELECT (SELECT user_id FROM runs WHERE status IN ('queued', 'waiting') AND user_id > u.id ORDER BY user_id LIMIT 1)
    FROM queued_user u WHERE u.id IS NOT NULL
),
due_user AS MATERIALIZED (
    SELECT u.id FROM queued_user u
    WHERE EXISTS (SELECT FROM runs WHERE status IN ('queued', 'waiting') AND user_id = u.id
                                         AND available_at <= clock_timestamp() AND crashes < 2)
),
slots AS (
    SELECT sum(capacity) AS n FROM hosts WHERE kind = 'run' AND state = 'live' AND expires_at > clock_timestamp()
),
allowed AS (
    SELECT least(%(share)s::bigint, CASE WHEN (SELECT count(*) FROM due_user) > 1 THEN greatest(10, n / 2) ELSE n END) AS n
    FROM slots
),
busy AS (
    SELECT user_id, count(*) AS n FROM runs WHERE status = 'running' GROUP BY user_id
),
pick AS (
    SELECT c.id, c.place + coalesce(b.n, 0) AS load
    FROM due_user u
    LEFT JOIN busy b ON b.user_id = u.id
    CROSS JOIN LATERAL (
        SELECT q.id, row_number() OVER (ORDER BY q.priority, q.available_at, q.id) AS place
        FROM (SELECT id, priority, available_at FROM runs
              WHERE status IN ('queued', 'waiting') AND user_id = u.id AND available_at <= clock_timestamp()
                AND crashes < 2    -- others execute alone (claim_suspects)
              ORDER BY priority, available_at, id
              LIMIT greatest(0, (SELECT n FROM allowed) - coalesce(b.n, 0))) q
    ) c
    ORDER BY load, random() LIMIT %(most)s
),
locked AS (
    SELECT r.id FROM runs r JOIN pick USING (id)
    WHERE r.status IN ('queued', 'waiting')
    FOR NO KEY UPDATE OF r SKIP LOCKED
)
UPDATE runs r SET status = 'running', owner = %(owner)s, assigned_at = clock_timestamp(), fence = r.fence + 1,
                  claims = r.claims + 1
FROM locked l WHERE r.id = l.id
RETURNING r.id AS run_id, r.owner AS host, r.fence, r.user_id, r.task_id, r.task_version, r.trigger_id, r.input
