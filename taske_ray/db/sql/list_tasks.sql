-- A page of a user's tasks with their current text and their trigger, newest first.
SELECT t.id, t.user_id, t.version, t.name, t.enabled, t.overlap, t.created_at, t.updated_at, v.spec, v.pins,
       g.id AS trigger_id, g.kind, g.capability, g.capability_version, g.connection_id, g.spec AS trigger_spec,
       g.misfire, g.anchor_at, g.next_fire_at, g.paused_reason, g.hook_hash, g.hook_data_key, g.hook_sealed,
       clock_timestamp() AS read_at
FROM tasks t
JOIN task_versions v ON v.task_id = t.id AND v.version = t.version
JOIN triggers g ON g.task_id = t.id
WHERE t.user_id = %(user_id)s
  AND t.id < coalesce(%(after)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
ORDER BY t.id DESC
LIMIT %(limit)s
