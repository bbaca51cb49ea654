-- Accounts that are gone and still have runs: a loose index scan over the users of runs.
WITH RECURSIVE owners(user_id) AS (
    (SELECT user_id FROM runs ORDER BY user_id LIMIT 1)
    UNION ALL
    SELECT n.user_id
    FROM owners o CROSS JOIN LATERAL (SELECT user_id FROM runs WHERE user_id > o.user_id ORDER BY user_id LIMIT 1) n
)
SELECT o.user_id AS id FROM owners o WHERE NOT EXISTS (SELECT FROM users u WHERE u.id = o.user_id) LIMIT %(most)s
