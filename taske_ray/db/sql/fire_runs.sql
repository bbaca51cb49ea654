-- Fire: for each event that is really new, its ledger row and its run, together (durability, 3.1 and 4.1).
-- One answer per event asked for: created (owner set when a live host takes it at once), duplicate, gone, full or
-- overlap. Where runs of a task must not overlap the caller has locked the trigger in a statement before (3.4).
WITH asked AS (
    SELECT * FROM unnest(
        %(trigger_ids)s::uuid[], %(trigger_versions)s::int[], %(must_be_enabled)s::boolean[], %(user_ids)s::uuid[],
        %(task_ids)s::uuid[], %(task_versions)s::int[], %(fire_keys)s::text[], %(run_ids)s::uuid[],
        %(scheduled_ats)s::timestamptz[], %(inputs)s::text[], %(hosts)s::uuid[], %(replays)s::uuid[]
    ) AS a(trigger_id, trigger_version, must_be_enabled, user_id, task_id, task_version, fire_key, run_id,
           scheduled_at, input, host, replay_of)
),
present AS (    -- the trigger is there, enabled, and of the version that was checked against
    SELECT a.*, t.overlap <> 'allow' AS exclusive,    -- what is fired by hand overlaps, but others wait for it
           CASE WHEN a.must_be_enabled THEN t.overlap ELSE 'allow' END AS overlap
    FROM asked a JOIN triggers t ON t.id = a.trigger_id AND t.user_id = a.user_id
    WHERE (t.enabled OR NOT a.must_be_enabled) AND (a.trigger_version IS NULL OR a.trigger_version = t.version)
),
backlog AS (    -- each user's due runs, counted no further than the limit, in order: runs that sleep are not read
    SELECT u.user_id,
           (SELECT count(*) FROM (SELECT FROM runs q WHERE q.user_id = u.user_id AND q.status IN ('queued', 'waiting')
                                  AND q.available_at <= (SELECT clock_timestamp())
                                  ORDER BY q.priority, q.available_at, q.id LIMIT %(queue_limit)s) AS due) AS due
    FROM (SELECT DISTINCT user_id FROM present) u
),
single AS (     -- new events of tasks whose runs must not overlap, the first of each key
    SELECT DISTINCT ON (p.trigger_id, p.fire_key) p.trigger_id, p.fire_key, p.run_id, p.task_id, p.overlap
    FROM present p
    WHERE p.overlap <> 'allow'
      AND NOT EXISTS (SELECT FROM events e WHERE e.trigger_id = p.trigger_id AND e.fire_key = p.fire_key)
    ORDER BY p.trigger_id, p.fire_key, p.run_id
),
crowd AS (      -- the runs of those tasks that are live, and those of them that wait for another to end
    SELECT r.task_id, count(*) AS live, count(*) FILTER (WHERE r.available_at = held_until()) AS held
    FROM runs r WHERE r.task_id = ANY(SELECT task_id FROM single) AND r.exclusive
                      AND r.status IN ('queued', 'running', 'waiting')
    GROUP BY r.task_id
),
turn AS (       -- `skip`: the first, if none is live; `queue`: one more, which is held until the live ones ended
    SELECT s.trigger_id, s.fire_key, s.run_id, s.place > 1 AS held,
           s.place = 1 OR (s.overlap = 'queue' AND s.place = 2 AND s.held = 0) AS admitted
    FROM (SELECT one.*, coalesce(c.held, 0) AS held,
                 row_number() OVER (PARTITION BY one.task_id ORDER BY one.run_id)
                 + CASE WHEN c.live > 0 THEN 1 ELSE 0 END AS place
          FROM single one LEFT JOIN crowd c USING (task_id)) s
),
fresh AS (
    INSERT INTO events (trigger_id, fire_key, run_id)
    SELECT p.trigger_id, p.fire_key, p.run_id
    FROM present p JOIN backlog b USING (user_id) LEFT JOIN turn ON turn.run_id = p.run_id
    WHERE b.due < %(queue_limit)s AND (p.overlap = 'allow' OR turn.admitted)
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
    SELECT p.*, coalesce(turn.held, false) AS held,
           CASE WHEN b.due = 0 AND turn.held IS NOT TRUE
                     AND row_number() OVER (PARTITION BY p.host ORDER BY turn.held NULLS FIRST, p.run_id) <= h.free
                THEN p.host END AS owner
    FROM present p JOIN fresh USING (run_id) JOIN backlog b USING (user_id) LEFT JOIN turn ON turn.run_id = p.run_id
         LEFT JOIN host h ON h.id = p.host
),
created AS (
    INSERT INTO runs (id, user_id, task_id, task_version, trigger_id, fire_key, replay_of, scheduled_at, input,
                      exclusive, available_at, status, owner, assigned_at, fence, claims)
    SELECT run_id, user_id, task_id, task_version, trigger_id, fire_key, replay_of, scheduled_at, input::jsonb,
           exclusive, CASE WHEN held THEN held_until() ELSE clock_timestamp() END,
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
            WHEN NOT turn.admitted THEN 'overlap'
            ELSE 'duplicate' END AS status
FROM asked a
LEFT JOIN present p ON p.run_id = a.run_id
LEFT JOIN backlog b ON b.user_id = p.user_id
LEFT JOIN turn ON turn.trigger_id = p.trigger_id AND turn.fire_key = p.fire_key
LEFT JOIN created c ON c.id = a.run_id
LEFT JOIN events e ON c.id IS NULL AND p.run_id IS NOT NULL AND e.trigger_id = a.trigger_id AND e.fire_key = a.fire_key
