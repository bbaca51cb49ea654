-- Connections that these users may use, their own and the instance's. One statement for all who ask at the same moment.
SELECT w.asked_by, c.id, c.user_id, c.module, c.auth, c.status, c.version, c.config, c.sealed, c.data_key, c.scopes,
       c.token_at, c.refresh_from, c.token_expires_at
FROM unnest(%(ids)s::uuid[], %(user_ids)s::uuid[]) AS w(id, asked_by)
JOIN connections c ON c.id = w.id AND (c.user_id = w.asked_by OR c.user_id IS NULL)
