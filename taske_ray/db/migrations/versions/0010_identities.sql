-- Whom a provider means (security, 7.4): issuer and subject never change, the address may.
CREATE TABLE identities (
    issuer text NOT NULL,                                      -- for GitHub its own address
    subject text NOT NULL,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    provider text NOT NULL,                                    -- its name in the settings when it was linked
    email text,                                                -- as the provider last vouched for
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (issuer, subject)
);
CREATE INDEX ON identities (user_id);
