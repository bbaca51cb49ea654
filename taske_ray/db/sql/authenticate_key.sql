-- Every request with an API key. Its last use is written at most once a minute, so that reading stays reading.
WITH found AS (
    SELECT k.id AS key_id, k.scopes, k.task_id, k.last_used_at, u.id AS user_id, u.email, u.role, u.locale
    FROM api_keys k
    JOIN users u ON u.id = k.user_id
    WHERE k.hash = %(digest)s
      AND k.revoked_at IS NULL
      AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
      AND u.status = 'active'
), used AS (
    UPDATE api_keys SET last_used_at = clock_timestamp()
    FROM found
    WHERE api_keys.id = found.key_id
      AND (found.last_used_at IS NULL OR found.last_used_at < clock_timestamp() - interval '1 minute')
)
SELECT user_id, email, role, locale, NULL::uuid AS session_id, key_id, scopes, task_id, false AS recent FROM found
