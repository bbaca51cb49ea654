-- Who sent a request with an API key: by a door, because nobody is known before (migrations/doors.sql).
SELECT user_id, email, role, locale, NULL::uuid AS session_id, key_id, scopes, task_id, false AS recent
FROM caller_of_key(%(digest)s)
