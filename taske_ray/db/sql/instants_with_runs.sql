-- Which instants of a schedule have a run. The runs are asked besides the ledger: its rows are kept for days, runs for weeks.
SELECT scheduled_at FROM runs
WHERE user_id = %(user_id)s AND task_id = %(task_id)s AND trigger_id = %(trigger_id)s AND replay_of IS NULL
  AND scheduled_at BETWEEN %(first)s AND %(last)s
