-- How much of each limit a user has used, counted no further than a little beyond it.
SELECT (SELECT count(*) FROM tasks WHERE user_id = %(user_id)s) AS tasks,
       (SELECT count(*) FROM (SELECT FROM runs WHERE user_id = %(user_id)s AND status IN ('queued', 'waiting')
                              AND available_at <= (SELECT clock_timestamp()) LIMIT %(queue_limit)s) AS due) AS queued_runs,
       (SELECT count(*) FROM runs WHERE user_id = %(user_id)s AND status = 'running') AS running_runs,
       coalesce((SELECT runs FROM run_counts WHERE user_id = %(user_id)s
                 AND day = (clock_timestamp() AT TIME ZONE 'UTC')::date), 0) AS runs_per_day
