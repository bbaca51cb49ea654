-- New tokens, stored before anybody uses them; only by the holder of the lease, and never over a newer credential.
UPDATE connections
SET sealed = %(sealed)s, data_key = %(data_key)s, token_at = %(token_at)s, refresh_from = %(refresh_from)s,
    token_expires_at = %(expires_at)s, scopes = coalesce(%(scopes)s::text[], scopes), version = version + 1,
    refresh_owner = NULL, refresh_until = NULL, refresh_tries = 0, updated_at = clock_timestamp()
WHERE id = %(connection_id)s AND user_id IS NOT DISTINCT FROM %(owner)s
  AND refresh_owner = %(client)s AND refresh_until = %(until)s
RETURNING version
