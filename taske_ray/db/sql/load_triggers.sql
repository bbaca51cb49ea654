-- The triggers that a watcher host was asked to watch, as far as they are enabled and not paused.
SELECT id, user_id, task_id, version, kind, capability, capability_version, connection_id, spec, misfire, overlap,
       anchor_at, next_fire_at, cursor, cursor_version, consecutive_errors
FROM triggers WHERE id = ANY(%(ids)s::uuid[]) AND enabled AND paused_reason IS NULL
