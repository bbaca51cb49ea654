-- Take mails that are due; one that is not confirmed comes back by itself (the sender died, the server was away).
UPDATE mails m SET attempts = m.attempts + 1, available_at = clock_timestamp() + make_interval(secs => 60 * least(60, 2 ^ m.attempts))
FROM (SELECT id FROM mails WHERE status = 'queued' AND available_at <= clock_timestamp()
      ORDER BY available_at LIMIT %(most)s FOR UPDATE SKIP LOCKED) due
WHERE m.id = due.id
RETURNING m.id, m.recipients, m.subject, m.body_text, m.body_html, m.attempts,
          extract(epoch FROM m.available_at)::float8 AS claimed_until
