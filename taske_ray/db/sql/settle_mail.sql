-- What became of a mail; one that was refused stays queued until it has been tried ten times. The number of its
-- attempt is the fence: one that was claimed again since is its new sender's (durability, 6.11). Who took it does not get it again.
UPDATE mails SET
    status = CASE WHEN %(error)s::text IS NULL THEN 'sent' WHEN attempts >= 10 THEN 'failed' ELSE 'queued' END,
    sent_at = CASE WHEN %(error)s::text IS NULL THEN clock_timestamp() END,
    error = %(error)s, recipients = coalesce(%(refused)s::text[], recipients)
WHERE id = %(id)s AND status = 'queued' AND attempts = %(attempt)s
