-- Whether a run that took two of its hosts along is due, or executes now.
SELECT EXISTS (
    SELECT FROM runs
    WHERE crashes >= 2 AND status IN ('queued', 'waiting', 'running') AND available_at <= clock_timestamp()
) AS due
