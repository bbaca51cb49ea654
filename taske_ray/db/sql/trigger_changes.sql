-- Triggers that changed after `since`. Numbers are drawn before COMMIT, so a little is read again each time.
SELECT id, version, enabled AND paused_reason IS NULL AS enabled, change FROM triggers WHERE change > %(since)s
