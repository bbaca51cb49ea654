-- The same of everybody, for an administrator: the door decides (`migrations/doors.sql`).
SELECT id, at, user_id, session_id, key_id, address, action, object, result, detail
FROM all_acts(%(after)s, %(user_id)s, %(action)s, %(result)s, %(since)s, %(until)s, %(limit)s)
ORDER BY id DESC
