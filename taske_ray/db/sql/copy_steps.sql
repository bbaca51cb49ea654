-- The recorded steps that a replay does not repeat.
INSERT INTO steps (run_id, step, key, capability, status, input, output, error, started_at, finished_at)
SELECT %(target)s, s.step, s.key, s.capability, s.status, s.input, s.output, s.error, s.started_at, s.finished_at
FROM steps s
JOIN runs r ON r.id = s.run_id
WHERE s.run_id = %(source)s AND r.user_id = %(user_id)s AND s.step < %(before)s
  AND s.status IN ('succeeded', 'failed', 'skipped')
