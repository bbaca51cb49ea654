-- The service refused this credential (`version`; a newer one is not touched): its triggers pause with that reason, and
-- whoever can mend it is told once, the owner or, for the instance's connections, the administrators.
WITH refused AS (
    UPDATE connections
    SET status = 'needs_reauth', status_reason = %(reason)s, updated_at = clock_timestamp(),
        refresh_owner = NULL, refresh_until = NULL, refresh_tries = 0
    WHERE id = %(connection_id)s AND user_id IS NOT DISTINCT FROM %(owner)s AND version = %(version)s
      AND status <> 'needs_reauth'
    RETURNING id, user_id, name, module
),
paused AS (
    UPDATE triggers t SET paused_reason = 'connection needs reauthorisation', change = nextval('trigger_changes')
    FROM refused r WHERE t.connection_id = r.id
),
letters AS (
    SELECT * FROM unnest(%(locales)s::text[], %(subjects)s::text[], %(bodies)s::text[]) AS l(locale, subject, body)
),
told AS (
    SELECT DISTINCT ON (u.id) u.id AS user_id, u.email, regexp_replace(r.name, '\s+', ' ', 'g') AS name, r.module, l.subject, l.body
    FROM refused r
    JOIN users u ON u.status = 'active' AND (u.id = r.user_id OR (r.user_id IS NULL AND u.role = 'admin'))
    JOIN letters l ON l.locale IN (u.locale, 'en')
    ORDER BY u.id, (l.locale = u.locale) DESC
),
addressed AS (
    SELECT (%(mail_ids)s::uuid[])[row_number() OVER (ORDER BY user_id)] AS id, told.* FROM told
)
INSERT INTO mails (id, user_id, recipients, subject, body_text, purpose)
SELECT id, user_id, ARRAY[email], replace(replace(subject, '{module}', module), '{name}', name),
       replace(replace(body, '{module}', module), '{name}', name), 'needs_reauth'
FROM addressed WHERE id IS NOT NULL
