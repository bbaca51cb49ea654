-- A batch of ledger rows that no repetition can ask for any more (durability, 10.3): by hand 24 h, schedules twice the
-- catch-up window, polls 30 days (beside the poll ledger), webhooks and all others 7 days.
WITH old AS (
    SELECT e.trigger_id, e.fire_key
    FROM events e LEFT JOIN triggers t ON t.id = e.trigger_id
    WHERE e.recorded_at < clock_timestamp() - interval '1 day'
      AND e.recorded_at < clock_timestamp()
          - CASE WHEN e.fire_key LIKE 'manual:%%' OR e.fire_key LIKE 'replay:%%' THEN interval '1 day'
                 WHEN t.kind IN ('cron', 'interval') THEN interval '2 days'
                 WHEN t.kind = 'poll' THEN interval '30 days'
                 ELSE interval '7 days' END
    LIMIT %(most)s
),
gone AS (
    DELETE FROM events e USING old o WHERE e.trigger_id = o.trigger_id AND e.fire_key = o.fire_key RETURNING 1
)
SELECT count(*) AS deleted FROM gone
