-- What runs have recorded so far: every step reached, with its attempts.
SELECT s.run_id, s.step, s.key, s.capability, s.status, s.input, s.output, s.error, s.started_at,
       coalesce((SELECT jsonb_agg(jsonb_build_object('number', a.number, 'status', a.status, 'counted', a.counted,
                                                     'sent', a.sent, 'http_status', a.http_status, 'error', a.error,
                                                     'started_at', a.started_at, 'finished_at', a.finished_at,
                                                     'client', a.client)
                                  ORDER BY a.number)
                 FROM attempts a WHERE a.run_id = s.run_id AND a.step = s.step), '[]') AS attempts
FROM steps s WHERE s.run_id = ANY(%(run_ids)s::uuid[])
ORDER BY s.run_id, s.step
