-- A consent whose user is still to be sent to the provider.
SELECT id, user_id, connection_id, connection_owner, reconnects, module, auth, name, config, scopes, redirect_uri,
       data_key, sealed
FROM connection_authorizations
WHERE id = %(id)s AND user_id = %(user_id)s AND status = 'pending' AND code_sealed IS NULL
  AND expires_at > clock_timestamp()
