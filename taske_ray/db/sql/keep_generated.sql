-- What is sent at the first request is kept before it: a repetition after a crash sends the same.
UPDATE subscriptions SET data_key = %(data_key)s, sealed = %(sealed)s, updated_at = clock_timestamp()
WHERE id = %(id)s AND sealed IS NULL
RETURNING id
