-- What was granted to connections, each for the user who wants to use it: their own, or one of the instance.
SELECT u.user_id, c.id, c.scopes
FROM unnest(%(users)s::uuid[], %(ids)s::uuid[]) AS u(user_id, id)
JOIN connections c ON c.id = u.id AND (c.user_id = u.user_id OR c.user_id IS NULL)
