-- A registration for each enabled trigger that wants one and has none for what it is now.
INSERT INTO subscriptions (id, trigger_id, user_id, capability, capability_version, connection_id, spec)
SELECT gen_random_uuid(), g.id, g.user_id, g.capability, g.capability_version, g.connection_id, g.spec
FROM triggers g
WHERE g.enabled AND g.hook_mode = 'subscribe' AND g.paused_reason IS NULL
  AND NOT EXISTS (SELECT FROM subscriptions s
                  WHERE s.trigger_id = g.id AND s.status <> 'ending' AND s.capability = g.capability
                    AND s.capability_version = g.capability_version AND s.spec = g.spec
                    AND s.connection_id IS NOT DISTINCT FROM g.connection_id)
LIMIT 500
ON CONFLICT DO NOTHING
