-- Registrations that nobody wants any more: the trigger is off or gone, or another one has taken its place.
UPDATE subscriptions s SET status = 'ending', due_at = clock_timestamp(), tries = 0, updated_at = clock_timestamp()
WHERE s.status <> 'ending'
  AND NOT EXISTS (SELECT FROM triggers g
                  WHERE g.id = s.trigger_id AND g.enabled AND g.hook_mode = 'subscribe' AND s.capability = g.capability
                    AND s.capability_version = g.capability_version AND s.spec = g.spec
                    AND s.connection_id IS NOT DISTINCT FROM g.connection_id)
  AND (NOT EXISTS (SELECT FROM triggers g WHERE g.id = s.trigger_id AND g.enabled AND g.hook_mode = 'subscribe')
       OR EXISTS (SELECT FROM subscriptions o
                  JOIN triggers g ON g.id = o.trigger_id
                  WHERE o.trigger_id = s.trigger_id AND o.status = 'active' AND o.capability = g.capability
                    AND o.capability_version = g.capability_version AND o.spec = g.spec
                    AND o.connection_id IS NOT DISTINCT FROM g.connection_id))
