-- A registration for each enabled trigger that wants one and has none for what it is now: its parameters, the credential
-- of its connection, its address.
INSERT INTO subscriptions (id, trigger_id, user_id, capability, capability_version, connection_id, given, hook_hash, spec)
SELECT gen_random_uuid(), g.id, g.user_id, g.capability, g.capability_version, g.connection_id, c.given, g.hook_hash, g.spec
FROM triggers g LEFT JOIN connections c ON c.id = g.connection_id
WHERE g.enabled AND g.hook_mode IN ('subscribe', 'verified') AND g.paused_reason IS NULL
  AND NOT EXISTS (SELECT FROM subscriptions s
                  WHERE s.trigger_id = g.id AND s.status <> 'ending' AND s.capability = g.capability
                    AND s.capability_version = g.capability_version AND s.spec = g.spec AND s.hook_hash = g.hook_hash
                    AND s.connection_id IS NOT DISTINCT FROM g.connection_id AND s.given IS NOT DISTINCT FROM c.given)
LIMIT 500
ON CONFLICT DO NOTHING
