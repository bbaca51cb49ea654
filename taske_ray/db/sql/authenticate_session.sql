-- Who sent a request with an access token: by a door, because nobody is known before (migrations/doors.sql).
SELECT user_id, email, role, locale, session_id, NULL::uuid AS key_id, '{read,write}'::text[] AS scopes,
       NULL::uuid AS task_id, recent, password_due
FROM caller_of_session(%(session_id)s, %(issued_at)s, %(kid)s)
