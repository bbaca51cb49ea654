-- Who may do what in this database (security, 8.3); applied after the migrations at every start, so that a restored copy
-- has it, too. What a role may not do at all is decided here, which rows it sees in `policies.sql`, and what it may do
-- by one door only in `doors.sql`. A new table is nobody's until it is named here and there.
--
--   taske_api     /api/v1 and the console: what belongs to the user that the transaction names
--   taske_auth    /auth: accounts, before anybody knows whose; nothing of tasks, runs and connections
--   taske_engine  hosts and hooks, whose batches mix users: what runs need; no password, session, token or key
DO $$
DECLARE
    made text;
BEGIN
    FOREACH made IN ARRAY ARRAY['taske_api', 'taske_auth', 'taske_engine'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = made) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', made);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;    -- another database of this server did
            END;
        END IF;
        -- since version 16 who made a role administers it and may still not take it on
        IF NOT pg_has_role(current_user, made,
                           CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
            EXECUTE format('GRANT %I TO %I', made, current_user);
        END IF;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), made);
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', current_schema(), made);
        EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM %I', current_schema(), made);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON tasks, triggers, connections, idempotency_keys, authorization_states,
    oauth_clients, connection_authorizations TO taske_api;
GRANT SELECT, INSERT ON task_versions, data_keys, audit TO taske_api;
GRANT SELECT, UPDATE ON runs, steps TO taske_api;
GRANT SELECT ON attempts, checks, skips, run_counts, subscriptions TO taske_api;
GRANT SELECT, INSERT, UPDATE, DELETE ON app_hooks TO taske_api;    -- takes an admin: policies.sql
GRANT INSERT ON run_ends TO taske_api;
GRANT SELECT, DELETE ON poll_ledger TO taske_api;
GRANT SELECT, INSERT, UPDATE ON modules, capabilities TO taske_api;    -- to write them takes an admin: policies.sql
GRANT SELECT (kid, public_key, created_at, retired_at) ON signing_keys TO taske_api;
GRANT USAGE ON SEQUENCE trigger_changes TO taske_api;

GRANT SELECT, INSERT, UPDATE, DELETE ON users, sessions, refresh_tokens, one_time_tokens, api_keys, totp_factors,
    recovery_codes, login_challenges, login_failures, code_failures, idempotency_keys, authorization_states, identities,
    signing_keys TO taske_auth;
GRANT SELECT, INSERT ON data_keys, mails, audit TO taske_auth;
GRANT SELECT ON hosts TO taske_auth;                 -- whom to ask to end the tokens of an account that is deleted
GRANT SELECT (id, user_id) ON tasks TO taske_auth;    -- a key may be bound to one of its owner's tasks
GRANT USAGE ON SEQUENCE login_failures_id_seq, code_failures_id_seq TO taske_auth;

GRANT SELECT (id, email, name, locale, country, timezone, role, status, created_at) ON users TO taske_engine;
GRANT SELECT, INSERT ON data_keys TO taske_engine;    -- hooks: a registration's secrets are sealed where they are got
GRANT SELECT ON modules, capabilities, tasks, task_versions, oauth_clients, app_hooks TO taske_engine;
GRANT SELECT, INSERT, UPDATE, DELETE ON subscriptions TO taske_engine;
GRANT UPDATE (failure_mailed_at) ON tasks TO taske_engine;
GRANT SELECT, UPDATE ON triggers, connections, connection_authorizations, chores TO taske_engine;
GRANT INSERT ON connections TO taske_engine;                   -- those that come of a consent
GRANT SELECT, INSERT, UPDATE, DELETE ON runs, steps, attempts, events, skips, checks, poll_ledger, hosts, mails,
    run_ends, run_counts TO taske_engine;
GRANT INSERT ON audit TO taske_engine;
GRANT USAGE ON SEQUENCE trigger_changes TO taske_engine;
