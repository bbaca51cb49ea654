-- The service refused the credential; its triggers pause with that reason.
WITH refused AS (
    UPDATE connections SET status = 'needs_reauth', status_reason = %(reason)s, updated_at = clock_timestamp()
    WHERE id = %(connection_id)s AND user_id = %(user_id)s AND status <> 'needs_reauth'
    RETURNING id
)
UPDATE triggers SET paused_reason = 'connection needs reauthorisation', change = nextval('trigger_changes')
FROM refused WHERE triggers.connection_id = refused.id
