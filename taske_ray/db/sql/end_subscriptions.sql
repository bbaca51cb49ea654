-- Registrations that nobody wants any more: the trigger is off or gone, its connection is gone with all that was kept of
-- it, or another registration has taken this one's place.
WITH wanted AS (
    SELECT g.id, g.capability, g.capability_version, g.spec, g.hook_hash, g.connection_id, c.given
    FROM triggers g LEFT JOIN connections c ON c.id = g.connection_id
    WHERE g.enabled AND g.hook_mode IN ('subscribe', 'verified')
)
UPDATE subscriptions s SET status = 'ending', due_at = clock_timestamp(), tries = 0, updated_at = clock_timestamp()
WHERE s.status <> 'ending'
  AND NOT EXISTS (SELECT FROM wanted w
                  WHERE w.id = s.trigger_id AND s.capability = w.capability
                    AND s.capability_version = w.capability_version AND s.spec = w.spec AND s.hook_hash = w.hook_hash
                    AND s.connection_id IS NOT DISTINCT FROM w.connection_id AND s.given IS NOT DISTINCT FROM w.given)
  AND (NOT EXISTS (SELECT FROM wanted w WHERE w.id = s.trigger_id)
       OR (s.given IS NOT NULL AND NOT EXISTS (SELECT FROM connections c WHERE c.id = s.connection_id))
       OR EXISTS (SELECT FROM subscriptions o JOIN wanted w ON w.id = o.trigger_id
                  WHERE o.trigger_id = s.trigger_id AND o.status = 'active' AND o.capability = w.capability
                    AND o.capability_version = w.capability_version AND o.spec = w.spec AND o.hook_hash = w.hook_hash
                    AND o.connection_id IS NOT DISTINCT FROM w.connection_id AND o.given IS NOT DISTINCT FROM w.given))
