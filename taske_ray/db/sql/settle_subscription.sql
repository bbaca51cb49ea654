-- What became of asking the service, said by the client that has it still. What nobody wants any more by now stays so, with what is needed to end it.
UPDATE subscriptions SET
    status = CASE WHEN status = 'ending' THEN status ELSE %(status)s END,
    due_at = CASE WHEN status = 'ending' AND %(status)s <> 'ending' THEN clock_timestamp()
                  ELSE clock_timestamp() + make_interval(secs => %(again_s)s) END,
    data_key = %(data_key)s, sealed = %(sealed)s, expires_at = %(expires_at)s, taken_until = NULL, tries = %(tries)s,
    error = %(error)s::jsonb, updated_at = clock_timestamp()
WHERE id = %(id)s AND taken_until = %(taken_until)s
RETURNING id
