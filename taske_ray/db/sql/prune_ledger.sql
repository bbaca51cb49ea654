-- A batch of items that no check saw for 30 days, or for the capability's `lookback` if that is longer, counted back from
-- the last check that saw anything: a list that did not change keeps its items (capability format, 6).
WITH last_seen AS (
    SELECT trigger_id, max(seen_at) AS at FROM poll_ledger GROUP BY trigger_id
),
old AS (
    SELECT l.trigger_id, l.key, l.version_key
    FROM last_seen s JOIN triggers t ON t.id = s.trigger_id
    LEFT JOIN capabilities c ON c.capability = t.capability AND c.version = t.capability_version
    JOIN poll_ledger l ON l.trigger_id = s.trigger_id
    WHERE l.seen_at < s.at - greatest(interval '30 days', CASE
        WHEN c.doc #>> '{poll,cursor,lookback}' ~ '^P' THEN (c.doc #>> '{poll,cursor,lookback}')::interval END)
    LIMIT %(most)s
),
gone AS (
    DELETE FROM poll_ledger l USING old o
    WHERE l.trigger_id = o.trigger_id AND l.key = o.key AND l.version_key = o.version_key RETURNING 1
)
SELECT count(*) AS deleted FROM gone
