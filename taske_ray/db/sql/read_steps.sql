-- The recorded steps of one run of one user, each with its attempts.
SELECT s.step, s.key, s.capability, s.status, s.input, s.output, s.error, s.started_at, s.finished_at,
       coalesce((
           SELECT jsonb_agg(jsonb_build_object(
               'number', a.number, 'status', a.status, 'http_status', a.http_status, 'started_at', a.started_at,
               'finished_at', a.finished_at, 'error', a.error, 'request', a.request) ORDER BY a.number)
           FROM attempts a WHERE a.run_id = s.run_id AND a.step = s.step
       ), '[]') AS attempts
FROM steps s
JOIN runs r ON r.id = s.run_id
WHERE s.run_id = %(run_id)s AND r.id = %(run_id)s AND r.user_id = %(user_id)s
ORDER BY s.step
