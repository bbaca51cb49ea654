-- The app's hook behind a token, with the data key that sealed it.
SELECT a.module, a.sealed, a.data_key, d.user_id AS key_owner, d.version AS key_version, d.kek_id, d.wrapped
FROM app_hooks a
JOIN data_keys d ON d.id = a.data_key
WHERE a.hook_hash = %(digest)s
