UPDATE idempotency_keys SET status = %(status)s, body = %(body)s::jsonb
WHERE user_id = %(user_id)s AND key = %(key)s AND status IS NULL
