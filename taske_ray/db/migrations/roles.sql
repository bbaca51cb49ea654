-- Who may do what in this database; applied after the migrations at every start, so that a restored copy has it, too.
-- `taske_engine` (security, 8.3): hosts and hooks, whose batches mix users. It reads and writes what runs need, and
-- neither passwords, sessions, tokens, API keys nor signing keys.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'taske_engine') THEN
        BEGIN
            CREATE ROLE taske_engine NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;    -- another database of this server did
        END;
    END IF;
    -- since version 16 who made a role administers it and may still not take it on
    IF NOT pg_has_role(current_user, 'taske_engine',
                       CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
        EXECUTE format('GRANT taske_engine TO %I', current_user);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO taske_engine', current_schema());
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM taske_engine', current_schema());
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM taske_engine', current_schema());
END
$$;
GRANT SELECT (id, email, name, locale, country, timezone, role, status, created_at) ON users TO taske_engine;
GRANT SELECT ON data_keys, modules, capabilities, tasks, task_versions TO taske_engine;
GRANT UPDATE (failure_mailed_at) ON tasks TO taske_engine;
GRANT SELECT, UPDATE ON triggers, connections, chores TO taske_engine;
GRANT SELECT, INSERT, UPDATE, DELETE ON runs, steps, attempts, events, skips, checks, poll_ledger, hosts, mails,
    run_ends TO taske_engine;
GRANT USAGE ON SEQUENCE trigger_changes TO taske_engine;
GRANT EXECUTE ON FUNCTION ensure_partition(text, timestamptz), drop_partition(text, text, interval), prune_accounts()
    TO taske_engine;
