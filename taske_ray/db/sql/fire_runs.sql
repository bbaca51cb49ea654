-- Fire: for each event that is really new, its ledger row and its run, together (durability, 3.1 and 4.1).
-- One answer per event asked for: created (owner set when a live host takes it at once), duplicate, gone or full.
WITH asked AS (
    SELECT * FROM unnest(
        %(trigger_ids)s::uuid[], %(trigger_versions)s::int[], %(must_be_enabled)s::boolean[], %(user_ids)s::uuid[],
        %(task_ids)s::uuid[], %(task_versions)s::int[], %(fire_keys)s::text[], %(run_ids)s::uuid[],
        %(scheduled_ats)s::timestamptz[], %(inputs)s::text[], %(hosts)s::uuid[], %(replays)s::uuid[]
    ) AS a(trigger_id, trigger_version, must_be_enabled, user_id, task_id, task_version, fire_key, run_id,
           scheduled_at, input, host, replay_of)
),
present AS (    -- the trigger is there, enabled, and of the version that was checked against
    SELECT a.* FROM asked a JOIN triggers t ON t.id = a.trigger_id
    WHERE (t.enabled OR NOT a.must_be_enabled) AND (a.trigger_version IS NULL OR a.trigger_version = t.version)
),
backlog AS (    -- each user's due runs, counted no further than the limit
    SELECT u.user_id,
           (SELECT count(*) FROM (SELECT FROM runs q WHERE q.user_id = u.user_id AND q.status IN ('queued', 'waiting')
                                  AND q.available_at <= clock_timestamp() LIMIT %(queue_limit)s) AS due) AS due
    FROM (SELECT DISTINCT user_id FROM present) u
),
fresh AS (
    INSERT INTO events (trigger_id, fire_key, run_id)
    SELECT p.trigger_id, p.fire_key, p.run_id FROM present p JOIN backlog b USING (user_id)
    WHERE b.due < %(queue_limit)s
    ORDER BY p.trigger_id, p.fire_key
    ON CONFLICT DO NOTHING
    RETURNING run_id
),
host AS (       -- live for at least 5 s more, with this many free slots
    SELECT h.id, h.capacity - (SELECT count(*) FROM runs r WHERE r.owner = h.id AND r.status = 'running') AS free
    FROM hosts h WHERE h.id = ANY(%(hosts)s::uuid[]) AND h.state = 'live'
                       AND h.expires_at > clock_timestamp() + interval '5 s'
),
placed AS (     -- no overtaking: a user with due runs in the queue waits behind them
    SELECT p.*, CASE WHEN b.due = 0 AND row_number() OVER (PARTITION BY p.host ORDER BY p.run_id) <= h.free
                     THEN p.host END AS owner
    FROM present p JOIN fresh USING (run_id) JOIN backlog b USING (user_id) LEFT JOIN host h ON h.id = p.host
),
created AS (
    INSERT INTO runs (id, user_id, task_id, task_version, trigger_id, fire_key, replay_of, scheduled_at, input, status,
                      owner, assigned_at, fence, claims)
    SELECT run_id, user_id, task_id, task_version, trigger_id, fire_key, replay_of, scheduled_at, input::jsonb,
           CASE WHEN owner IS NULL THEN 'queued' ELSE 'running' END, owner,
           CASE WHEN owner IS NOT NULL THEN clock_timestamp() END,
           CASE WHEN owner IS NULL THEN 0 ELSE 1 END, CASE WHEN owner IS NULL THEN 0 ELSE 1 END
    FROM placed ORDER BY run_id
    RETURNING id, owner, fence
)
SELECT a.run_id AS asked_id, coalesce(c.id, e.run_id) AS run_id, c.owner, c.fence,
       CASE WHEN c.id IS NOT NULL THEN 'created'
            WHEN e.run_id IS NOT NULL THEN 'duplicate'
            WHEN p.run_id IS NULL THEN 'gone'
            WHEN b.due >= %(queue_limit)s THEN 'full'
            ELSE 'duplicate' END AS status
FROM asked a
LEFT JOIN present p ON p.run_id = a.run_id
LEFT JOIN backlog b ON b.user_id = p.user_id
LEFT JOIN created c ON c.id = a.run_id
LEFT JOIN events e ON c.id IS NULL AND p.run_id IS NOT NULL AND e.trigger_id = a.trigger_id AND e.fire_key = a.fire_key
