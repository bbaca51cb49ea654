-- Of these connections those that a user may use: their own, and the instance's, of which nothing more is to be seen.
SELECT id, module, auth, status, scopes FROM connections WHERE user_id = %(user_id)s AND id = ANY(%(ids)s::uuid[])
UNION ALL
SELECT id, module, auth, status, scopes FROM instance_connections() WHERE id = ANY(%(ids)s::uuid[])
