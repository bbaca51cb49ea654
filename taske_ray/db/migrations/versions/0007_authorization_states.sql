-- Somebody was sent to a provider and is expected back (security, 7.2): each row is good once, for its purpose, in the
-- browser that left, for ten minutes. Found by the hash of its state, before anybody knows whose it is.
CREATE TABLE authorization_states (
    hash bytea PRIMARY KEY,
    purpose text NOT NULL CHECK (purpose IN ('login', 'connect')),
    provider text NOT NULL,                                    -- login: its name in the settings; connect: a module
    browser_hash bytea NOT NULL,
    user_id uuid REFERENCES users ON DELETE CASCADE,           -- connect: whose connection it becomes
    target text NOT NULL,                                      -- a path of ours, where the browser lands
    detail jsonb NOT NULL DEFAULT '{}',
    data_key uuid NOT NULL REFERENCES data_keys ON DELETE CASCADE,
    sealed bytea NOT NULL,                                     -- PKCE verifier and nonce
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    CHECK ((purpose = 'connect') = (user_id IS NOT NULL))
);
CREATE INDEX ON authorization_states (expires_at);
CREATE INDEX ON authorization_states (user_id) WHERE user_id IS NOT NULL;
