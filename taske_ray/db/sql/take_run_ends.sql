-- Ends of runs that nobody was told of yet, with whom to tell: the owner, and the triggers `system.run.failed` that listen.
-- A run's chain is what started it: the trigger it came from, and if that was such a trigger, the run that had fired it,
-- and so on. None of the chain's triggers hears of the run (`looped`), and none at all behind three of them.
WITH RECURSIVE due AS (
    SELECT run_id, fence FROM run_ends WHERE available_at <= clock_timestamp()
    ORDER BY available_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
),
taken AS (      -- what is not settled in a minute comes back: its host died
    UPDATE run_ends e SET available_at = clock_timestamp() + interval '60 s'
    FROM due WHERE e.run_id = due.run_id AND e.fence = due.fence
    RETURNING e.run_id, e.fence, e.status
),
ended AS (
    SELECT t.run_id, t.fence, t.status, r.user_id, r.task_id, r.trigger_id, r.input, r.error, r.depth
    FROM taken t JOIN runs r ON r.id = t.run_id
),
chain(run_id, user_id, trigger_id, input, depth) AS (
    SELECT run_id, user_id, trigger_id, input, 0 FROM ended
    UNION
    SELECT c.run_id, c.user_id, p.trigger_id, p.input, c.depth + 1
    FROM chain c
    JOIN triggers g ON g.id = c.trigger_id AND g.capability = 'system.run.failed'
    JOIN runs p ON p.user_id = c.user_id AND c.depth < 3
         AND p.id = CASE WHEN c.input ->> 'run_id' ~ '^run_[0-9a-f]{32}$' THEN substr(c.input ->> 'run_id', 5)::uuid END
),
past AS (
    SELECT run_id, array_agg(trigger_id) AS triggers, max(depth) AS depth FROM chain GROUP BY run_id
)
SELECT e.run_id, e.fence, e.status, e.user_id, e.task_id, e.error, e.depth, k.name AS task_name, u.locale,
       CASE WHEN u.status = 'active' THEN u.email END AS email,
       coalesce((
           SELECT jsonb_agg(jsonb_build_object(
               'trigger_id', g.id, 'task_id', g.task_id, 'version', g.version, 'overlap', g.overlap,
               'looped', p.depth >= 3 OR coalesce(g.id = ANY(p.triggers), false)))
           FROM triggers g
           WHERE g.user_id = e.user_id AND g.enabled AND g.capability = 'system.run.failed'
             AND (jsonb_array_length(coalesce(g.spec -> 'tasks', '[]')) = 0
                  OR g.spec -> 'tasks' ? ('task_' || replace(e.task_id::text, '-', '')))
       ), '[]') AS listeners
FROM ended e
JOIN past p ON p.run_id = e.run_id
LEFT JOIN tasks k ON k.id = e.task_id
LEFT JOIN users u ON u.id = e.user_id
ORDER BY e.run_id, e.fence
