-- Accounts (security, 2 to 7.1): second factors, challenges between two factors, the mark of a compromised account.
ALTER TABLE users
    ADD COLUMN verified_at timestamptz,                        -- the address was proved, to us or to a provider
    ADD COLUMN compromised_at timestamptz,                     -- the next login needs a second factor (5.3)
    ADD COLUMN password_set_at timestamptz,                    -- null: before this was kept
    ADD COLUMN password_due boolean NOT NULL DEFAULT false;    -- a new password was asked for (5.4)
UPDATE users SET verified_at = created_at
WHERE EXISTS (SELECT FROM audit a WHERE a.user_id = users.id AND a.action IN ('account.verify', 'account.create'));

ALTER TABLE sessions
    ADD COLUMN method text NOT NULL DEFAULT 'password',        -- the first factor: password, or a provider's name
    ADD COLUMN authenticated_at timestamptz NOT NULL DEFAULT clock_timestamp();
UPDATE sessions SET authenticated_at = created_at;
CREATE INDEX ON sessions (expires_at);

ALTER TABLE one_time_tokens ADD COLUMN address text;           -- the address that the token is about, if any
CREATE INDEX ON one_time_tokens (user_id);

ALTER TABLE api_keys
    ADD COLUMN session_id uuid,                                -- the session that made it: it ends with a compromise (5.1)
    ADD COLUMN task_id uuid REFERENCES tasks ON DELETE CASCADE;    -- the only task that it may touch
CREATE INDEX ON api_keys (task_id) WHERE task_id IS NOT NULL;

-- Failures are counted before the answer is known and taken back when it was right, so that many at once are counted.
ALTER TABLE login_failures ADD COLUMN password_tag bytea;      -- 40 bits of a keyed hash: equal passwords, not which
CREATE INDEX ON login_failures (address, failed_at);
CREATE INDEX ON login_failures (password_tag, failed_at);

CREATE TABLE totp_factors (
    user_id uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    data_key uuid NOT NULL REFERENCES data_keys ON DELETE CASCADE,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    confirmed_at timestamptz,                                  -- null: shown, not yet in use
    last_step bigint NOT NULL DEFAULT 0                        -- a code of this or an earlier step is spent
);

CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    label text NOT NULL,                                       -- two public characters that say which one it is
    hash text NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (user_id, label)
);

CREATE TABLE login_challenges (                                -- a first factor was right, the second is due
    hash bytea PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    method text NOT NULL,
    code_hash bytea,                                           -- of the code that was mailed; null: an enrolled factor
    tries int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX ON login_challenges (user_id);
CREATE INDEX ON login_challenges (expires_at);

CREATE TABLE code_failures (                                   -- wrong second factors, over all challenges
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    failed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON code_failures (user_id, failed_at);

CREATE INDEX ON mails ((recipients[1]), purpose, created_at);

ALTER TABLE audit ADD COLUMN key_id uuid;                      -- the API key that acted, if it was one
CREATE INDEX ON audit (at);
