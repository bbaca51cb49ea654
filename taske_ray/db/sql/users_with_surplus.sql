-- Users who have more than `kept` runs, a page by id.
SELECT u.id, EXISTS (SELECT FROM runs r WHERE r.user_id = u.id OFFSET %(kept)s) AS surplus
FROM users u WHERE %(after)s::uuid IS NULL OR u.id > %(after)s
ORDER BY u.id LIMIT %(most)s
