-- Save what happened to many runs at once. Every write is fenced: a run that this host no longer owns is not
-- touched and does not come back (durability, 5.3). One row per attempt or step closed and opened, so the checkpoint
-- of step n and the intent of step n+1 are one transaction (6.1). After a cancel nothing is opened, and what would go on
-- or be parked ends (6.9).
WITH asked AS (
    SELECT * FROM unnest(%(run_ids)s::uuid[], %(fences)s::bigint[], %(statuses)s::text[], %(available_ats)s::timestamptz[],
                         %(errors)s::text[], %(progressed)s::boolean[])
         AS a(run_id, fence, status, available_at, error, progressed)
),
live AS (
    SELECT r.id, CASE WHEN r.cancel_requested_at IS NOT NULL AND a.status IN ('waiting', 'running', 'needs_attention')
                      THEN 'cancelled' ELSE a.status END AS status,
           a.available_at, a.error::jsonb AS error, r.cancel_requested_at IS NOT NULL AS cancelled,
           a.progressed, r.assigned_at IS NOT NULL AS fresh,
           a.progressed AND (r.claims > 1 OR r.crashes > 0) AS cleared    -- one claim is the one that got on
    FROM runs r JOIN asked a ON r.id = a.run_id
    WHERE r.fence = a.fence AND r.status = 'running' AND r.owner = %(owner)s
    ORDER BY r.id FOR NO KEY UPDATE OF r
),
closed_attempts AS (
    UPDATE attempts t SET status = c.status, sent = c.sent, counted = c.counted, http_status = c.http_status,
                          request = c.request::jsonb, error = c.error::jsonb, finished_at = clock_timestamp()
    FROM unnest(%(closed_attempt_runs)s::uuid[], %(closed_attempt_steps)s::smallint[], %(closed_attempt_numbers)s::int[],
                %(closed_attempt_statuses)s::text[], %(closed_attempt_sents)s::boolean[],
                %(closed_attempt_counteds)s::boolean[], %(closed_attempt_http_statuses)s::int[],
                %(closed_attempt_requests)s::text[], %(closed_attempt_errors)s::text[])
         AS c(run_id, step, number, status, sent, counted, http_status, request, error)
    JOIN live ON live.id = c.run_id
    WHERE t.run_id = c.run_id AND t.step = c.step AND t.number = c.number
      AND t.status IN ('dispatched', 'unknown')    -- unknown: its client still knew (6.4)
),
steps_written AS (      -- closed, skipped, or opened with its rendered input; opened again after a retry: input stays
    INSERT INTO steps (run_id, step, key, capability, status, input, output, error, finished_at)
    SELECT s.run_id, s.step, s.key, s.capability, s.status, s.input::json, s.output::jsonb, s.error::jsonb,
           CASE WHEN s.status <> 'running' THEN clock_timestamp() END
    FROM unnest(%(step_runs)s::uuid[], %(step_steps)s::smallint[], %(step_keys)s::text[], %(step_capabilities)s::text[],
                %(step_statuses)s::text[], %(step_inputs)s::text[], %(step_outputs)s::text[], %(step_errors)s::text[])
         AS s(run_id, step, key, capability, status, input, output, error)
    JOIN live ON live.id = s.run_id
    WHERE s.status <> 'running' OR NOT live.cancelled
    ORDER BY s.run_id, s.step
    ON CONFLICT (run_id, step) DO UPDATE SET
        status = excluded.status, input = coalesce(excluded.input, steps.input), output = excluded.output, error = excluded.error, finished_at = excluded.finished_at
),
opened_attempts AS (
    INSERT INTO attempts (run_id, step, number, fence, status, idempotency_key, client)
    SELECT o.run_id, o.step, o.number, o.fence, 'dispatched', o.idempotency_key, o.client
    FROM unnest(%(open_runs)s::uuid[], %(open_steps)s::smallint[], %(open_numbers)s::int[], %(open_fences)s::bigint[],
                %(open_keys)s::text[], %(open_clients)s::uuid[]) AS o(run_id, step, number, fence, idempotency_key, client)
    JOIN live ON live.id = o.run_id
    WHERE NOT live.cancelled
    ORDER BY o.run_id, o.step
    ON CONFLICT DO NOTHING      -- the same batch again, after a COMMIT that was not answered
),
mailed AS (
    INSERT INTO mails (id, user_id, recipients, subject, body_text, body_html, purpose)
    SELECT m.id, m.user_id, string_to_array(m.recipients, chr(10)), m.subject, m.body_text, m.body_html, m.purpose
    FROM unnest(%(mail_runs)s::uuid[], %(mail_ids)s::uuid[], %(mail_users)s::uuid[], %(mail_recipients)s::text[],
                %(mail_subjects)s::text[], %(mail_texts)s::text[], %(mail_htmls)s::text[], %(mail_purposes)s::text[])
         AS m(run_id, id, user_id, recipients, subject, body_text, body_html, purpose)
    JOIN live ON live.id = m.run_id
    ON CONFLICT DO NOTHING
),
moved AS (
    UPDATE runs r SET
        status = l.status, started_at = coalesce(r.started_at, clock_timestamp()),
        finished_at = CASE WHEN l.status IN ('succeeded', 'failed', 'cancelled') THEN clock_timestamp() END,
        available_at = coalesce(l.available_at, r.available_at),
        owner = CASE WHEN l.status = 'running' THEN r.owner END,
        error = coalesce(l.error, r.error), assigned_at = NULL,
        claims = CASE WHEN l.progressed THEN 0 ELSE r.claims END,
        crashes = CASE WHEN l.progressed THEN 0 ELSE r.crashes END
    FROM live l
    WHERE r.id = l.id AND (l.status <> 'running' OR l.fresh OR l.cleared)
    RETURNING r.id, r.fence, r.status
),
told AS (       -- somebody is told of it (run_ends.py)
    INSERT INTO run_ends (run_id, fence, status)
    SELECT id, fence, status FROM moved WHERE status IN ('failed', 'needs_attention')
    ON CONFLICT DO NOTHING
)
SELECT id AS run_id, cancelled FROM live
