-- New time zone rules: set next instants, where nobody has moved them since they were read.
UPDATE triggers t SET next_fire_at = m.next_fire_at
FROM unnest(%(ids)s::uuid[], %(expected)s::timestamptz[], %(next_fire_ats)s::timestamptz[]) AS m(id, expected, next_fire_at)
WHERE t.id = m.id AND t.next_fire_at = m.expected
