-- A page of what one user did, or was done to their account, newest first.
SELECT id, at, user_id, session_id, key_id, address, action, object, result, detail
FROM audit
WHERE user_id = %(owner)s
  AND (%(after)s::uuid IS NULL OR id < %(after)s)
  AND (%(action)s::text IS NULL OR action = %(action)s OR starts_with(action, %(action)s || '.'))
  AND (%(result)s::text IS NULL OR result = %(result)s)
  AND (%(since)s::timestamptz IS NULL OR at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
ORDER BY id DESC
LIMIT %(limit)s
