-- Stop the triggers of those of these tasks that have done nothing but fail (durability, 12): their latest runs that ended,
-- as far as they began after the task was saved or switched last, failed `most` times in a row, or for so many hours.
WITH candidate AS (
    SELECT k.id, g.updated_at AS since
    FROM tasks k JOIN triggers g ON g.task_id = k.id
    WHERE k.id = ANY(%(task_ids)s::uuid[]) AND k.enabled AND g.enabled
    ORDER BY k.id FOR NO KEY UPDATE OF k, g    -- in the order in which a task is switched by hand
),
series AS (
    SELECT c.id, s.failed, s.first_at
    FROM candidate c CROSS JOIN LATERAL (
        SELECT count(*) AS failed, min(finished_at) AS first_at
        FROM (SELECT finished_at, bool_and(status = 'failed') OVER (ORDER BY id DESC) AS in_a_row
              FROM (SELECT id, status, finished_at FROM runs
                    WHERE task_id = c.id AND status IN ('succeeded', 'failed') AND created_at > c.since
                    ORDER BY id DESC LIMIT greatest(%(most)s::int, 50)) AS latest) AS ended
        WHERE in_a_row
    ) s
),
failing AS (
    SELECT id, failed, CASE WHEN failed >= %(most)s::int THEN concat('failing: ', failed, ' failed runs in a row')
                            ELSE concat('failing: no run has succeeded for ', %(hours)s::int, ' hours') END AS reason
    FROM series
    WHERE failed >= %(most)s::int OR first_at <= clock_timestamp() - make_interval(hours => %(hours)s::int)
),
stopped AS (
    UPDATE triggers g SET enabled = false, paused_reason = f.reason, next_fire_at = NULL,
                          change = nextval('trigger_changes'), updated_at = clock_timestamp()
    FROM failing f WHERE g.task_id = f.id
    RETURNING g.task_id, g.user_id, f.reason
)
SELECT s.task_id, s.user_id, k.name AS task_name, s.reason, u.locale,
       CASE WHEN u.status = 'active' THEN u.email END AS email
FROM stopped s JOIN tasks k ON k.id = s.task_id JOIN users u ON u.id = s.user_id
