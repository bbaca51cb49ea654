-- The first schema. Identifiers are UUIDv7 made by the writer; times are timestamptz in UTC.
-- runs, steps and attempts are partitioned by week of the run's id (its first 48 bits are milliseconds), so that
-- history is dropped a week at a time.

-- People -------------------------------------------------------------------------------------------------------
CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL UNIQUE,
    password_hash text,
    name text NOT NULL DEFAULT '',
    locale text NOT NULL DEFAULT 'en',
    country text,
    timezone text NOT NULL DEFAULT 'UTC',
    role text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'active', 'disabled')),
    not_before timestamptz NOT NULL DEFAULT '-infinity',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    user_agent text,
    address text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX ON sessions (user_id);

CREATE TABLE refresh_tokens (
    hash bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    successor_hash bytea,
    successor_sealed bytea
);
CREATE INDEX ON refresh_tokens (session_id);

CREATE TABLE one_time_tokens (
    hash bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    purpose text NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name text NOT NULL,
    hash bytea NOT NULL UNIQUE,
    scopes text[] NOT NULL DEFAULT '{read,write}',
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX ON api_keys (user_id);

CREATE TABLE login_failures (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    address text,
    failed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON login_failures (email, failed_at);

-- Keys -----------------------------------------------------------------------------------------------------------
CREATE TABLE data_keys (
    id uuid PRIMARY KEY,
    user_id uuid REFERENCES users ON DELETE CASCADE,           -- null: the instance's own
    purpose text NOT NULL CHECK (purpose IN ('auth', 'hooks', 'credentials')),
    version int NOT NULL DEFAULT 1,
    kek_id text NOT NULL,
    wrapped bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE NULLS NOT DISTINCT (user_id, purpose, version)
);

CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    data_key uuid NOT NULL REFERENCES data_keys,
    sealed_private bytea NOT NULL,
    public_key bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz
);

CREATE TABLE idempotency_keys (
    user_id uuid NOT NULL,                                     -- the nil UUID for callers without an account
    key text NOT NULL,
    request_hash bytea NOT NULL,
    status int,                                                -- null while the first request is being answered
    body jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX ON idempotency_keys (created_at);

-- Catalog ---------------------------------------------------------------------------------------------------------
CREATE TABLE modules (
    module text NOT NULL,
    version int NOT NULL,
    hash text NOT NULL,
    doc jsonb NOT NULL,
    origin text NOT NULL CHECK (origin IN ('catalog', 'admin', 'demo')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz,
    PRIMARY KEY (module, version)
);

CREATE TABLE capabilities (
    capability text NOT NULL,
    version int NOT NULL,
    module text NOT NULL,
    module_version int NOT NULL,
    hash text NOT NULL,
    doc jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz,
    PRIMARY KEY (capability, version),
    FOREIGN KEY (module, module_version) REFERENCES modules
);
CREATE INDEX ON capabilities (module);

CREATE TABLE connections (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    module text NOT NULL,
    auth text NOT NULL,
    name text NOT NULL,
    label text,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'needs_reauth', 'error')),
    status_reason text,
    config jsonb NOT NULL DEFAULT '{}',
    data_key uuid REFERENCES data_keys ON DELETE CASCADE,
    sealed bytea,
    hints jsonb NOT NULL DEFAULT '{}',                         -- secret field -> at most its last four characters
    version int NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    tested_at timestamptz
);
CREATE INDEX ON connections (user_id, id);

-- What the user defined ---------------------------------------------------------------------------------------------
CREATE TABLE tasks (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    name text NOT NULL,
    enabled boolean NOT NULL,
    version int NOT NULL,
    overlap text NOT NULL DEFAULT 'allow' CHECK (overlap IN ('allow', 'skip', 'queue')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON tasks (user_id, id);

CREATE TABLE task_versions (
    task_id uuid NOT NULL REFERENCES tasks ON DELETE CASCADE,
    version int NOT NULL,
    user_id uuid NOT NULL,
    spec jsonb NOT NULL,                                       -- as checked: name, trigger, actions, overlap
    pins jsonb NOT NULL,                                       -- capability -> version
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (task_id, version)
);

CREATE SEQUENCE trigger_changes;
CREATE TABLE triggers (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    task_id uuid NOT NULL UNIQUE REFERENCES tasks ON DELETE CASCADE,
    version int NOT NULL,                                      -- the task's version that it fires
    kind text NOT NULL CHECK (kind IN ('cron', 'interval', 'poll', 'webhook', 'manual', 'internal')),
    capability text NOT NULL,
    capability_version int NOT NULL,
    connection_id uuid,
    spec jsonb NOT NULL,                                       -- the trigger's checked parameters
    enabled boolean NOT NULL,
    paused_reason text,
    overlap text NOT NULL DEFAULT 'allow',
    misfire text NOT NULL DEFAULT 'once' CHECK (misfire IN ('skip', 'once', 'all')),
    anchor_at timestamptz,
    next_fire_at timestamptz,
    cursor jsonb,
    cursor_version bigint NOT NULL DEFAULT 0,
    consecutive_errors int NOT NULL DEFAULT 0,
    hook_hash bytea UNIQUE,
    hook_data_key uuid REFERENCES data_keys,
    hook_sealed bytea,
    change bigint NOT NULL DEFAULT nextval('trigger_changes'), -- grows with every change: what the supervisor reads on from
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON triggers (next_fire_at) WHERE enabled AND kind IN ('cron', 'interval');
CREATE INDEX ON triggers (change);
CREATE INDEX ON triggers (user_id, id);
CREATE INDEX ON triggers (connection_id) WHERE connection_id IS NOT NULL;

CREATE TABLE checks (                                          -- what the last polls saw
    trigger_id uuid NOT NULL REFERENCES triggers ON DELETE CASCADE,
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    result jsonb NOT NULL,
    PRIMARY KEY (trigger_id, checked_at)
);

CREATE TABLE poll_ledger (
    trigger_id uuid NOT NULL REFERENCES triggers ON DELETE CASCADE,
    key text NOT NULL,
    version_key text NOT NULL DEFAULT '',
    seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (trigger_id, key, version_key)
);

-- What happens --------------------------------------------------------------------------------------------------------
CREATE TABLE hosts (                                           -- one row per incarnation
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('run', 'watcher', 'client')),
    name text NOT NULL,
    node text NOT NULL,
    boot_id text NOT NULL,
    pid int NOT NULL,
    pid_started double precision NOT NULL,
    capacity int NOT NULL,
    state text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'drained', 'crashed', 'dead')),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON hosts (kind) WHERE state = 'live';

CREATE TABLE events (                                          -- the ledger: once per key
    trigger_id uuid NOT NULL,
    fire_key text NOT NULL,
    run_id uuid NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (trigger_id, fire_key)
);

CREATE TABLE skips (
    trigger_id uuid NOT NULL,
    reason text NOT NULL CHECK (reason IN ('misfire', 'duplicate', 'filtered', 'disabled', 'quota', 'invalid_signature',
                                           'invalid', 'handshake', 'loop')),
    minute timestamptz NOT NULL,
    first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    count bigint NOT NULL DEFAULT 1,
    sample jsonb,
    PRIMARY KEY (trigger_id, reason, minute)
);

CREATE TABLE runs (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    task_id uuid NOT NULL,
    task_version int NOT NULL,
    trigger_id uuid,
    fire_key text,
    replay_of uuid,
    scheduled_at timestamptz,
    status text NOT NULL CHECK (status IN ('queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled',
                                           'needs_attention')),
    priority smallint NOT NULL DEFAULT 0,
    available_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    owner uuid,
    assigned_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    finished_at timestamptz,
    cancel_requested_at timestamptz,
    fence bigint NOT NULL DEFAULT 0,
    claims int NOT NULL DEFAULT 0,
    crashes int NOT NULL DEFAULT 0,
    input jsonb,
    error jsonb,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX ON runs (user_id, priority, available_at, id) WHERE status IN ('queued', 'waiting');
CREATE INDEX ON runs (owner, user_id) WHERE status = 'running';
CREATE INDEX ON runs (owner, assigned_at) WHERE status = 'running' AND claims > 0;
CREATE INDEX ON runs (task_id, id);
CREATE INDEX ON runs (user_id, id);

CREATE TABLE steps (                                           -- one row per action that was reached
    run_id uuid NOT NULL,
    step smallint NOT NULL,
    key text NOT NULL,
    capability text NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'running', 'succeeded', 'failed', 'skipped', 'unknown')),
    input jsonb,
    output jsonb,
    error jsonb,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    PRIMARY KEY (run_id, step)
) PARTITION BY RANGE (run_id);

CREATE TABLE attempts (
    run_id uuid NOT NULL,
    step smallint NOT NULL,
    number int NOT NULL,
    fence bigint NOT NULL,
    status text NOT NULL CHECK (status IN ('dispatched', 'succeeded', 'failed', 'unknown')),
    sent boolean,
    counted boolean NOT NULL DEFAULT true,                     -- against max_attempts
    idempotency_key text,
    request jsonb,
    http_status int,
    error jsonb,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    PRIMARY KEY (run_id, step, number)
) PARTITION BY RANGE (run_id);
CREATE UNIQUE INDEX attempts_one_success ON attempts (run_id, step) WHERE status = 'succeeded';

CREATE TABLE mails (                                           -- the outbox
    id uuid PRIMARY KEY,
    user_id uuid,
    recipients text[] NOT NULL,
    subject text NOT NULL,
    body_text text,
    body_html text,
    purpose text NOT NULL,
    status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'failed')),
    attempts int NOT NULL DEFAULT 0,
    available_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    sent_at timestamptz,
    error text
);
CREATE INDEX ON mails (available_at) WHERE status = 'queued';

CREATE TABLE audit (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    user_id uuid,
    session_id uuid,
    address text,
    action text NOT NULL,
    object text,
    result text NOT NULL,
    detail jsonb
);
CREATE INDEX ON audit (user_id, at);

-- Weekly partitions -------------------------------------------------------------------------------------------------
CREATE FUNCTION week_floor_uuid(at timestamptz) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM date_trunc('week', at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC') * 1000)::bigint),
                 12, '0') || repeat('0', 20))::uuid
$$;

CREATE FUNCTION ensure_week(at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    suffix text := to_char(at AT TIME ZONE 'UTC', 'IYYY"w"IW');
BEGIN
    FOREACH parent IN ARRAY ARRAY['runs', 'steps', 'attempts'] LOOP
        IF to_regclass(format('%I.%I', current_schema(), parent || '_' || suffix)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', parent || '_' || suffix, parent,
                           week_floor_uuid(at), week_floor_uuid(at + interval '7 days'));
            -- finished rows are updated once or twice and never again
            EXECUTE format('ALTER TABLE %I SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)',
                           parent || '_' || suffix);
        END IF;
    END LOOP;
END
$$;

CREATE TABLE runs_rest PARTITION OF runs DEFAULT;
CREATE TABLE steps_rest PARTITION OF steps DEFAULT;
CREATE TABLE attempts_rest PARTITION OF attempts DEFAULT;
SELECT ensure_week(clock_timestamp() + make_interval(weeks => w)) FROM generate_series(0, 3) AS w;
