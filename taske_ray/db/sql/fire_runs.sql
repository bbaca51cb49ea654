-- Fire: for each event that is really new, its ledger row and its run, together (durability, 3.1 and 4.1).
-- One answer per event asked for: created (owner set when a live host takes it at once), duplicate, gone, full, spent
-- (the day's runs of a user) or overlap. Where runs of a task must not overlap the caller has locked the trigger in a
-- statement before (3.4).
WITH asked AS (
    SELECT * FROM unnest(
        %(trigger_ids)s::uuid[], %(trigger_versions)s::int[], %(must_be_enabled)s::boolean[], %(user_ids)s::uuid[],
        %(task_ids)s::uuid[], %(task_versions)s::int[], %(fire_keys)s::text[], %(run_ids)s::uuid[],
        %(scheduled_ats)s::timestamptz[], %(inputs)s::text[], %(hosts)s::uuid[], %(replays)s::uuid[], %(depths)s::smallint[]
    ) AS a(trigger_id, trigger_version, must_be_enabled, user_id, task_id, task_version, fire_key, run_id,
           scheduled_at, input, host, replay_of, depth)
),
present AS (    -- whether the trigger is there, enabled, and of the version that was checked against
    SELECT a.*, t.id IS NULL AS gone, t.overlap <> 'allow' AS exclusive,
           CASE WHEN a.must_be_enabled THEN t.overlap ELSE 'allow' END AS overlap,    -- by hand: overlaps, others wait for it
           dense_rank() OVER (PARTITION BY a.user_id ORDER BY a.trigger_id, a.fire_key) AS place    -- among the user's
    FROM asked a LEFT JOIN triggers t
         ON t.id = a.trigger_id AND t.user_id = a.user_id AND (t.enabled OR NOT a.must_be_enabled)
            AND t.paused_reason IS DISTINCT FROM 'the account is disabled'
            AND (a.trigger_version IS NULL OR a.trigger_version = t.version)
),
share AS (      -- how many runs a user may have running, as in claim_runs; no number: as many as there are slots
    SELECT least(%(share)s::bigint, CASE WHEN waiting.first IS NOT NULL THEN greatest(10, slots.n / 2) END) AS n
    FROM (SELECT (SELECT user_id FROM runs WHERE status IN ('queued', 'waiting') AND crashes < 2
                         AND available_at <= (SELECT clock_timestamp()) ORDER BY available_at LIMIT 1) AS first) waiting,
         (SELECT sum(capacity) AS n FROM hosts
          WHERE kind = 'run' AND state = 'live' AND expires_at > clock_timestamp()) slots
),
backlog AS (    -- each user's due runs, counted no further than the limit, in order: runs that sleep are not read; and
    SELECT u.user_id,    -- their running ones, counted no further than the share
           (SELECT count(*) FROM (SELECT FROM runs q WHERE q.user_id = u.user_id AND q.status IN ('queued', 'waiting')
                                  AND q.available_at <= (SELECT clock_timestamp())
                                  ORDER BY q.priority, q.available_at, q.id LIMIT %(queue_limit)s) AS due) AS due,
           (SELECT c.runs FROM run_counts c WHERE %(daily_limit)s::int IS NOT NULL AND c.user_id = u.user_id
                                                  AND c.day = (clock_timestamp() AT TIME ZONE 'UTC')::date) AS today,
           share.n AS share,
           CASE WHEN share.n IS NOT NULL THEN
               (SELECT count(*) FROM (SELECT FROM runs r
                                      WHERE r.status = 'running' AND r.user_id = u.user_id
                                        AND r.owner = ANY(ARRAY(SELECT id FROM hosts WHERE state = 'live'))
                                      LIMIT (SELECT n FROM share)) AS theirs) END AS busy
    FROM (SELECT DISTINCT user_id FROM present WHERE NOT gone) u, share
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
judged AS (     -- what speaks against each event, if it is new; of one key's copies only the first may be tried there
    SELECT p.*, b.due, b.share, b.busy, coalesce(turn.held, false) AS held,
           p.overlap = 'allow' OR turn.run_id = p.run_id AS tried,
           CASE WHEN p.gone THEN 'gone'
                WHEN b.due + p.place > %(queue_limit)s THEN 'full'
                WHEN coalesce(b.today, 0) + p.place > %(daily_limit)s::int THEN 'spent'
                WHEN NOT turn.admitted THEN 'overlap' END AS refused
    FROM present p LEFT JOIN backlog b USING (user_id)
         LEFT JOIN turn ON turn.trigger_id = p.trigger_id AND turn.fire_key = p.fire_key
),
fresh AS (
    INSERT INTO events (trigger_id, fire_key, run_id)
    SELECT trigger_id, fire_key, run_id FROM judged
    WHERE refused IS NULL AND tried
    ORDER BY trigger_id, fire_key
    ON CONFLICT DO NOTHING
    RETURNING run_id
),
counted AS (    -- the day's runs of each user, where they are limited
    INSERT INTO run_counts (user_id, day, runs)
    SELECT j.user_id, (clock_timestamp() AT TIME ZONE 'UTC')::date, count(*)
    FROM judged j JOIN fresh USING (run_id) WHERE %(daily_limit)s::int IS NOT NULL
    GROUP BY j.user_id ORDER BY j.user_id
    ON CONFLICT (user_id, day) DO UPDATE SET runs = run_counts.runs + excluded.runs
),
host AS (       -- live for at least 5 s more, with this many free slots
    SELECT h.id, h.capacity - (SELECT count(*) FROM runs r WHERE r.owner = h.id AND r.status = 'running') AS free
    FROM hosts h WHERE h.id = ANY(%(hosts)s::uuid[]) AND h.state = 'live'
                       AND h.expires_at > clock_timestamp() + interval '5 s'
),
able AS (       -- no overtaking: a user with due runs in the queue waits behind them; nor more than their share
    SELECT j.*, j.due = 0 AND NOT j.held
                AND (j.share IS NULL
                     OR row_number() OVER (PARTITION BY j.user_id ORDER BY j.held, j.run_id) + j.busy <= j.share) AS at_once
    FROM judged j JOIN fresh USING (run_id)
),
placed AS (
    SELECT a.*, CASE WHEN a.at_once AND row_number() OVER (PARTITION BY a.host, a.at_once ORDER BY a.run_id) <= h.free
                     THEN a.host END AS owner
    FROM able a LEFT JOIN host h ON h.id = a.host
),
created AS (
    INSERT INTO runs (id, user_id, task_id, task_version, trigger_id, fire_key, replay_of, scheduled_at, input, depth,
                      exclusive, available_at, status, owner, assigned_at, fence, claims)
    SELECT run_id, user_id, task_id, task_version, trigger_id, fire_key, replay_of, scheduled_at, input::jsonb, depth,
           exclusive, CASE WHEN held THEN held_until() ELSE clock_timestamp() END,
           CASE WHEN owner IS NULL THEN 'queued' ELSE 'running' END, owner,
           CASE WHEN owner IS NOT NULL THEN clock_timestamp() END,
           CASE WHEN owner IS NULL THEN 0 ELSE 1 END, CASE WHEN owner IS NULL THEN 0 ELSE 1 END
    FROM placed ORDER BY run_id
    RETURNING id, owner, fence
)
SELECT j.run_id AS asked_id, coalesce(c.id, e.run_id) AS run_id, c.owner, c.fence,
       CASE WHEN c.id IS NOT NULL THEN 'created'
            WHEN e.run_id IS NOT NULL THEN 'duplicate'
            ELSE coalesce(j.refused, 'duplicate') END AS status
FROM judged j
LEFT JOIN created c ON c.id = j.run_id
LEFT JOIN events e ON c.id IS NULL AND NOT j.gone AND e.trigger_id = j.trigger_id AND e.fire_key = j.fire_key
