-- A page of the enabled schedules of a zone whose next instant is still to come. What is due already is believed.
SELECT id, user_id, task_id, version, kind, capability, capability_version, connection_id, spec, misfire, overlap,
       anchor_at, next_fire_at, cursor, cursor_version, consecutive_errors
FROM triggers
WHERE enabled AND kind = 'cron' AND spec ->> 'timezone' = %(zone)s AND next_fire_at > clock_timestamp()
      AND (%(after)s::uuid IS NULL OR id > %(after)s)
ORDER BY id LIMIT %(limit)s
