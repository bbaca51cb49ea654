-- A user came back from a provider: whoever takes the row exchanges the code, which is good once.
WITH due AS (
    SELECT * FROM connection_authorizations
    WHERE id = %(id)s AND user_id = %(user_id)s AND status = 'pending' AND code_sealed IS NOT NULL
      AND expires_at > clock_timestamp()
    FOR UPDATE
),
taken AS (
    UPDATE connection_authorizations a SET status = 'exchanging', code_sealed = NULL, proof_sealed = NULL
    FROM due WHERE a.id = due.id
)
SELECT id, user_id, connection_id, connection_owner, reconnects, module, auth, name, config, scopes, redirect_uri,
       data_key, sealed, code_key, code_sealed, proof_key, proof_row, proof_sealed
FROM due
