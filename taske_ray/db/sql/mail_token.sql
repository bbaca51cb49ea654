-- Mail a fresh token to the account that has an address, if there is one and it may have another mail. One statement
-- whatever it finds, so that its time tells nobody whether there is such an account.
WITH found AS (
    SELECT u.id, u.email, l.subject, l.body
    FROM users u
    JOIN unnest(%(languages)s::text[], %(subjects)s::text[], %(bodies)s::text[]) AS l (language, subject, body)
      ON l.language = CASE WHEN u.locale = ANY (%(languages)s::text[]) THEN u.locale ELSE 'en' END
    WHERE u.email = %(email)s
      AND u.status <> 'disabled'
      AND (u.verified_at IS NULL OR NOT %(unverified)s::boolean)
      AND (SELECT count(*) FROM mails m
           WHERE m.recipients[1] = %(email)s AND m.purpose = %(purpose)s
             AND m.created_at > clock_timestamp() - interval '1 hour') < %(most)s::int
), token AS (
    INSERT INTO one_time_tokens (hash, user_id, purpose, address, password_hash, expires_at)
    SELECT %(digest)s::bytea, id, %(purpose)s, email, %(password_hash)s::text, clock_timestamp() + %(lives)s::interval
    FROM found
), mail AS (
    INSERT INTO mails (id, user_id, recipients, subject, body_text, purpose)
    SELECT %(mail_id)s::uuid, id, ARRAY[email], subject, body, %(purpose)s FROM found
)
INSERT INTO audit (id, user_id, address, action, result)
SELECT %(audit_id)s::uuid, (SELECT id FROM found), %(address)s::text, %(action)s::text, 'ok'
