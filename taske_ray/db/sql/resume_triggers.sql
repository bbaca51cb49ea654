-- A connection has a good credential again: what paused for it goes on.
UPDATE triggers SET paused_reason = NULL, consecutive_errors = 0, change = nextval('trigger_changes')
WHERE connection_id = %(connection_id)s AND user_id = %(user_id)s AND paused_reason IS NOT NULL
