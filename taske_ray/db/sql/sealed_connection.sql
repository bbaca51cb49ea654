-- A connection of this user with its sealed secret and the data key around it.
SELECT c.id, c.user_id, c.module, c.auth, c.status, c.version, c.config, c.sealed, c.data_key,
       d.user_id AS key_owner, d.version AS key_version, d.kek_id, d.wrapped
FROM connections c
LEFT JOIN data_keys d ON d.id = c.data_key
WHERE c.id = %(connection_id)s AND c.user_id = %(user_id)s
