-- A connection of a scheme with tokens: what it was granted, how its token stands, and who refreshes it now. A lease
-- (`refresh_owner`, `refresh_until`) instead of a lock, because no transaction spans a network call (durability, 6.10).
ALTER TABLE connections
    ALTER COLUMN user_id DROP NOT NULL,                        -- null: the instance's own, stored by an admin
    ADD COLUMN scopes text[],                                  -- granted; null: nobody knows
    ADD COLUMN token_at timestamptz,
    ADD COLUMN refresh_from timestamptz,
    ADD COLUMN token_expires_at timestamptz,
    ADD COLUMN refresh_owner uuid,                             -- a client, by its row in `hosts`
    ADD COLUMN refresh_until timestamptz,
    ADD COLUMN refresh_tries smallint NOT NULL DEFAULT 0;      -- begun, and neither stored nor given back

-- How the instance itself is registered at providers: for those who bring no client of their own.
CREATE TABLE oauth_clients (
    id uuid PRIMARY KEY,
    module text NOT NULL,
    auth text NOT NULL,
    client_id text NOT NULL,
    data_key uuid REFERENCES data_keys,
    sealed bytea,                                              -- the client's secret; null: a public client
    hint text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (module, auth)
);

-- A user who was sent to a provider to allow a connection, from the first request to what became of it.
CREATE TABLE connection_authorizations (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,  -- who began it
    connection_id uuid NOT NULL,                               -- the one to be made, or made again
    connection_owner uuid REFERENCES users ON DELETE CASCADE,  -- null: the instance
    module text NOT NULL,
    auth text NOT NULL,
    name text NOT NULL,
    config jsonb NOT NULL DEFAULT '{}',
    scopes text[] NOT NULL DEFAULT '{}',                       -- asked for
    redirect_uri text NOT NULL,
    data_key uuid REFERENCES data_keys ON DELETE CASCADE,
    sealed bytea,                                              -- secret fields that the user gave
    code_key uuid REFERENCES data_keys ON DELETE CASCADE,
    code_sealed bytea,                                         -- what the provider sent back
    proof_key uuid REFERENCES data_keys ON DELETE CASCADE,
    proof_row text,                                            -- where the proof was sealed: its authorization state
    proof_sealed bytea,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'exchanging', 'succeeded', 'failed')),
    error jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON connection_authorizations (user_id);
CREATE INDEX ON connection_authorizations (expires_at);
