-- Move schedules on. Only a trigger whose next instant is still the expected one moves, so that a watcher and the
-- sweep, or two watchers after a partition, fire an instant once (durability, 3.2).
WITH asked AS (
    SELECT * FROM unnest(%(trigger_ids)s::uuid[], %(versions)s::int[], %(expected)s::timestamptz[],
                         %(next_fire_ats)s::timestamptz[]) AS a(id, version, expected, next_fire_at)
),
locked AS (
    SELECT t.id, a.expected, a.next_fire_at FROM triggers t JOIN asked a USING (id)
    WHERE t.enabled AND t.version = a.version AND t.next_fire_at = a.expected
    ORDER BY t.id FOR NO KEY UPDATE OF t
)
UPDATE triggers t SET next_fire_at = l.next_fire_at FROM locked l WHERE t.id = l.id
RETURNING t.id, t.version, l.expected
