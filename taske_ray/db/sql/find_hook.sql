-- The webhook behind a token, enabled or not; that of a disabled account is not. `config` are the open
-- fields of its connection, null where there is none.
SELECT g.id AS trigger_id, g.user_id, g.task_id, g.version,
       g.enabled AND g.paused_reason IS DISTINCT FROM 'the account is disabled' AS enabled,
       g.overlap, g.capability, g.capability_version, g.spec, g.hook_mode, g.hook_data_key, g.hook_sealed,
       d.user_id AS key_owner, d.version AS key_version, d.kek_id, d.wrapped, c.config
FROM triggers g
LEFT JOIN data_keys d ON d.id = g.hook_data_key
LEFT JOIN connections c ON c.id = g.connection_id AND (c.user_id = g.user_id OR c.user_id IS NULL)
WHERE g.hook_hash = %(digest)s AND g.kind = 'webhook'
