DELETE FROM idempotency_keys WHERE user_id = %(user_id)s AND key = %(key)s AND status IS NULL
