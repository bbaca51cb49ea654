-- Which of these items are new: the rows that the ledger really took. Items seen again keep their place in it.
WITH asked AS (
    SELECT * FROM unnest(%(keys)s::text[], %(version_keys)s::text[]) AS i(key, version_key)
),
seen AS (
    UPDATE poll_ledger l SET seen_at = clock_timestamp() FROM asked a
    WHERE l.trigger_id = %(trigger_id)s AND l.key = a.key AND l.version_key = a.version_key
          AND l.seen_at < clock_timestamp() - interval '1 day'
)
INSERT INTO poll_ledger (trigger_id, key, version_key)
SELECT %(trigger_id)s, key, version_key FROM asked ORDER BY key, version_key
ON CONFLICT DO NOTHING
RETURNING key, version_key
