-- Why something did not become a run: one row per trigger, reason and minute (durability, 2.5).
INSERT INTO skips (trigger_id, reason, minute, count, sample)
SELECT trigger_id, reason, date_trunc('minute', clock_timestamp()), sum(n), (array_agg(sample))[1]::jsonb
FROM unnest(%(trigger_ids)s::uuid[], %(reasons)s::text[], %(counts)s::bigint[], %(samples)s::text[])
     AS s(trigger_id, reason, n, sample)
GROUP BY trigger_id, reason ORDER BY trigger_id, reason
ON CONFLICT (trigger_id, reason, minute)
DO UPDATE SET count = skips.count + excluded.count, last_at = clock_timestamp()
