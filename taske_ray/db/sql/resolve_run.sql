-- A person has decided about the parked step of a run: both move together, once; the new fence is nobody's yet. Where
-- runs of a task must not overlap and another is live by now, it is held until that one ended (durability, 3.4).
WITH step AS (
    UPDATE steps s SET status = %(step_status)s, error = %(step_error)s::jsonb, finished_at = clock_timestamp()
    FROM runs r
    WHERE r.id = %(run_id)s AND r.user_id = %(user_id)s AND r.status = 'needs_attention'
      AND s.run_id = %(run_id)s AND s.step = %(step)s AND s.status = 'unknown'
    RETURNING s.run_id
),
moved AS (
    UPDATE runs r SET status = %(status)s, fence = r.fence + 1, claims = 0, crashes = 0,
                      available_at = CASE WHEN %(status)s = 'queued' AND r.exclusive
                          AND EXISTS (SELECT FROM runs o WHERE o.task_id = r.task_id AND o.exclusive AND o.id <> r.id
                                                               AND o.status IN ('queued', 'running', 'waiting'))
                          THEN held_until() ELSE clock_timestamp() END,
                      error = %(error)s::jsonb, finished_at = CASE WHEN %(status)s = 'failed' THEN clock_timestamp() END
    FROM step
    WHERE r.id = step.run_id AND r.status = 'needs_attention'
    RETURNING r.id, r.fence, r.status
),
told AS (
    INSERT INTO run_ends (run_id, fence, status) SELECT id, fence, status FROM moved WHERE status = 'failed'
),
trail AS (
    INSERT INTO audit SELECT act.* FROM moved, act_of(%(act)s::jsonb) AS act
)
SELECT id FROM moved
