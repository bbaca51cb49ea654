-- A login is written down before its hash is computed; it is a failure once that is known, or a minute has passed.
ALTER TABLE login_failures ADD COLUMN pending boolean NOT NULL DEFAULT false;

-- A successor is kept sealed for ten seconds (security, 4.3); what is left after that is swept.
CREATE INDEX ON refresh_tokens (used_at) WHERE successor_sealed IS NOT NULL;

-- The password that a sign-up chose comes into force with the token that was mailed for this sign-up.
ALTER TABLE one_time_tokens ADD COLUMN password_hash text;
