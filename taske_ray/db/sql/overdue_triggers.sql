-- The sweep: schedules that no watcher fired a second after their instant (durability, 3.2).
SELECT id, user_id, task_id, version, kind, capability, capability_version, connection_id, spec, misfire, overlap,
       anchor_at, next_fire_at, cursor, cursor_version, consecutive_errors
FROM triggers
WHERE enabled AND kind IN ('cron', 'interval') AND next_fire_at <= clock_timestamp() - interval '1 s'
ORDER BY next_fire_at LIMIT 500 FOR NO KEY UPDATE SKIP LOCKED
