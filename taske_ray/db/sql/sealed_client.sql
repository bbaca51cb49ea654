-- The instance's OAuth client at a provider, with its sealed secret and the data key around it.
SELECT c.id, c.client_id, c.sealed, c.data_key, d.version AS key_version, d.kek_id, d.wrapped
FROM oauth_clients c
LEFT JOIN data_keys d ON d.id = c.data_key AND d.user_id IS NULL
WHERE c.module = %(module)s AND c.auth = %(auth)s
