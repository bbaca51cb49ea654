-- Every request with an access token: by primary key, so that revocation acts on the next one.
SELECT u.id AS user_id, u.email, u.role, u.locale, s.id AS session_id, NULL::uuid AS key_id,
       '{read,write}'::text[] AS scopes, NULL::uuid AS task_id,
       s.authenticated_at > clock_timestamp() - interval '10 minutes' AS recent
FROM sessions s
JOIN users u ON u.id = s.user_id
WHERE s.id = %(session_id)s
  AND s.revoked_at IS NULL
  AND s.expires_at > clock_timestamp()
  AND u.status = 'active'
  AND to_timestamp(%(issued_at)s) >= date_trunc('second', u.not_before)
  AND EXISTS (SELECT FROM signing_keys k
              WHERE k.kid = %(kid)s AND (k.retired_at IS NULL OR k.retired_at > clock_timestamp()))
