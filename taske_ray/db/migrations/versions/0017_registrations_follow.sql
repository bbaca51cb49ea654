-- A webhook's registration follows what it was made with: the credential that was given, and the address of the hook.
-- `given` counts credentials as their owner gives them; a refreshed token is the same one.
ALTER TABLE connections ADD COLUMN given int NOT NULL DEFAULT 1;
ALTER TABLE subscriptions ADD COLUMN given int;          -- of the connection when it was registered; null: there was none
ALTER TABLE subscriptions ADD COLUMN hook_hash bytea;    -- of the address that was registered
UPDATE subscriptions s SET hook_hash = g.hook_hash,
    given = (SELECT c.given FROM connections c WHERE c.id = s.connection_id)
FROM triggers g WHERE g.id = s.trigger_id;
DROP INDEX subscriptions_one_live;
CREATE UNIQUE INDEX subscriptions_one_live ON subscriptions
    (trigger_id, capability, capability_version, connection_id, given, hook_hash, md5(spec::text)) NULLS NOT DISTINCT
    WHERE status <> 'ending';

-- verified: the user pastes the address, and signatures are checked with a secret of the trigger's connection, which an
-- integration client keeps for the hooks like those of a registration.
ALTER TABLE triggers DROP CONSTRAINT triggers_hook_mode_check;
ALTER TABLE triggers ADD CONSTRAINT triggers_hook_mode_check
    CHECK (hook_mode IN ('manual', 'verified', 'subscribe', 'app'));
DROP INDEX triggers_id_idx;
CREATE INDEX triggers_registered ON triggers (id) WHERE enabled AND hook_mode IN ('subscribe', 'verified');
