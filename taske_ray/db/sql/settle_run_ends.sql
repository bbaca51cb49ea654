-- The listeners of these ends were fired: forget the ends, and mail their owners, at most once per task and hour.
WITH settled AS (
    SELECT * FROM unnest(%(run_ids)s::uuid[], %(fences)s::bigint[], %(mail_ids)s::uuid[], %(task_ids)s::uuid[],
                         %(user_ids)s::uuid[], %(emails)s::text[], %(subjects)s::text[], %(texts)s::text[])
         AS s(run_id, fence, mail_id, task_id, user_id, email, subject, body)
),
forgotten AS (
    DELETE FROM run_ends e USING settled s WHERE e.run_id = s.run_id AND e.fence = s.fence
    RETURNING s.*
),
letter AS (
    SELECT DISTINCT ON (task_id) * FROM forgotten WHERE email IS NOT NULL ORDER BY task_id, run_id
),
allowed AS (
    UPDATE tasks t SET failure_mailed_at = clock_timestamp()
    FROM letter l
    WHERE t.id = l.task_id
      AND (t.failure_mailed_at IS NULL OR t.failure_mailed_at <= clock_timestamp() - interval '1 hour')
    RETURNING t.id
)
INSERT INTO mails (id, user_id, recipients, subject, body_text, purpose)
SELECT l.mail_id, l.user_id, ARRAY[l.email], l.subject, l.body, 'run_failed'
FROM letter l JOIN allowed a ON a.id = l.task_id
