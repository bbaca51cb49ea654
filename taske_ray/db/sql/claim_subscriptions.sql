-- Registrations that are due, for one client for a while; each with the hook of its trigger, as far as there still is
-- one, and whether another registration of the trigger stands.
WITH due AS (
    SELECT id FROM subscriptions
    WHERE due_at <= clock_timestamp() AND (taken_until IS NULL OR taken_until < clock_timestamp())
    ORDER BY due_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
),
taken AS (
    UPDATE subscriptions s SET taken_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
    FROM due WHERE s.id = due.id
    RETURNING s.*
)
SELECT t.id, t.trigger_id, t.user_id, t.capability, t.capability_version, t.connection_id, t.spec, t.status, t.sealed,
       t.expires_at, t.tries, t.taken_until, g.hook_sealed, clock_timestamp() AS now,
       EXISTS (SELECT FROM subscriptions o WHERE o.trigger_id = t.trigger_id AND o.id <> t.id AND o.status = 'active'
               AND o.connection_id IS NOT DISTINCT FROM t.connection_id) AS succeeded
FROM taken t
LEFT JOIN triggers g ON g.id = t.trigger_id
