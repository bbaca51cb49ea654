-- A registration for each enabled trigger that wants one and has none for what it is now: its parameters, the credential
-- of its connection, its address. As many as there are ids, which the writer makes (durability, 2.1), in one order for all
-- writers (3.3).
INSERT INTO subscriptions (id, trigger_id, user_id, capability, capability_version, connection_id, given, hook_hash, spec)
SELECT made.id, wanted.trigger_id, user_id, capability, capability_version, connection_id, given, hook_hash, spec
FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS made(id, place)
JOIN (SELECT row_number() OVER (ORDER BY g.id) AS place, g.id AS trigger_id, g.user_id, g.capability, g.capability_version,
             g.connection_id, c.given, g.hook_hash, g.spec
      FROM triggers g LEFT JOIN connections c ON c.id = g.connection_id
      WHERE g.enabled AND g.hook_mode IN ('subscribe', 'verified') AND g.paused_reason IS NULL
        AND NOT EXISTS (SELECT FROM subscriptions s
                        WHERE s.trigger_id = g.id AND s.status <> 'ending' AND s.capability = g.capability
                          AND s.capability_version = g.capability_version AND s.spec = g.spec AND s.hook_hash = g.hook_hash
                          AND s.connection_id IS NOT DISTINCT FROM g.connection_id AND s.given IS NOT DISTINCT FROM c.given)
      ORDER BY g.id LIMIT cardinality(%(ids)s::uuid[])) wanted USING (place)
ORDER BY place
ON CONFLICT DO NOTHING
