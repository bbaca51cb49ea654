-- Webhooks that we register at a service ourselves. A row is one registration with all that is needed to end it, because
-- the trigger that wanted it may be changed or gone by then. Two rows of a trigger overlap while one replaces the other.
CREATE TABLE subscriptions (
    id uuid PRIMARY KEY,
    trigger_id uuid NOT NULL,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    capability text NOT NULL,
    capability_version int NOT NULL,
    connection_id uuid,
    spec jsonb NOT NULL,
    status text NOT NULL DEFAULT 'subscribing' CHECK (status IN ('subscribing', 'active', 'ending')),
    data_key uuid REFERENCES data_keys ON DELETE CASCADE,
    sealed bytea,                                              -- {url, generated, state?}: from before the first request on
    expires_at timestamptz,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),     -- when to ask the service next
    taken_until timestamptz,                                   -- a client asks now
    tries int NOT NULL DEFAULT 0,                              -- failures in a row
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON subscriptions (due_at);
CREATE INDEX ON subscriptions (trigger_id);
CREATE UNIQUE INDEX subscriptions_one_live ON subscriptions
    (trigger_id, capability, capability_version, connection_id, md5(spec::text)) NULLS NOT DISTINCT WHERE status <> 'ending';

-- manual: the user pastes the address; subscribe: we register it; app: the module's one address for all of its users.
ALTER TABLE triggers ADD COLUMN hook_mode text CHECK (hook_mode IN ('manual', 'subscribe', 'app'));
UPDATE triggers SET hook_mode = 'manual' WHERE kind = 'webhook';
CREATE INDEX ON triggers (id) WHERE enabled AND hook_mode = 'subscribe';
-- A delivery to an app names a tenant, by whatever open field its module tells tenants apart.
CREATE INDEX ON connections USING gin (config jsonb_path_ops) WITH (fastupdate = off);

-- A module's one address, and what its deliveries are checked with.
CREATE TABLE app_hooks (
    module text PRIMARY KEY,
    hook_hash bytea NOT NULL UNIQUE,
    data_key uuid NOT NULL REFERENCES data_keys,
    sealed bytea NOT NULL,                                     -- {token, fields}
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
