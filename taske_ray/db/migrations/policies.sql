-- Which rows each role sees and writes: row-level security, forced on every table (security, 8.3). Applied after
-- `doors.sql` at every start; a policy is made again only when its text has changed, because that takes a lock.
-- `mine()` is the user that the transaction names, and null, which equals nothing, when it names none.
DO $policies$
DECLARE
    -- the sub-select is worked out once a statement, so that an index serves it
    own CONSTANT text := 'user_id = (SELECT mine())';
    -- a key that is bound to one task reaches no other, whatever the route
    own_of_bound CONSTANT text := own || ' AND ((SELECT only_task()) IS NULL OR task_id = (SELECT only_task()))';
    of_own_run CONSTANT text := 'EXISTS (SELECT FROM runs r WHERE r.id = run_id AND r.user_id = (SELECT mine()))';
    of_own_trigger CONSTANT text := 'EXISTS (SELECT FROM triggers t WHERE t.id = trigger_id AND t.user_id = (SELECT mine()))';
    by_admins CONSTANT text := '(SELECT caller_is_admin())';
    -- accounts are looked for before anybody knows whose they are; from then on a transaction says so
    found_or_own CONSTANT text := '(SELECT mine()) IS NULL OR user_id = (SELECT mine())';
    rule record;
    found record;
BEGIN
    CREATE TEMPORARY TABLE wanted ON COMMIT DROP AS
    SELECT r.of::text AS of, r.for_role::text AS for_role, r.command::text AS command, r.test::text AS test,
           r.for_role || '_' || lower(r.command) AS name
    FROM (VALUES
        ('tasks', 'taske_api', 'ALL', own || ' AND ((SELECT only_task()) IS NULL OR id = (SELECT only_task()))'),
        ('task_versions', 'taske_api', 'ALL', own_of_bound),
        ('triggers', 'taske_api', 'ALL', own_of_bound),
        -- those of the instance are an administrator's; others learn of them by a door, and use them
        ('connections', 'taske_api', 'ALL', own || ' OR (user_id IS NULL AND ' || by_admins || ')'),
        ('connection_authorizations', 'taske_api', 'ALL', own),
        ('oauth_clients', 'taske_api', 'SELECT', 'true'),
        ('oauth_clients', 'taske_api', 'INSERT', by_admins),
        ('oauth_clients', 'taske_api', 'UPDATE', by_admins),
        ('oauth_clients', 'taske_api', 'DELETE', by_admins),
        ('idempotency_keys', 'taske_api', 'ALL', own),
        ('runs', 'taske_api', 'ALL', own_of_bound),
        ('steps', 'taske_api', 'ALL', of_own_run),
        ('attempts', 'taske_api', 'SELECT', of_own_run),
        ('run_ends', 'taske_api', 'ALL', of_own_run),
        ('checks', 'taske_api', 'SELECT', of_own_trigger),
        ('skips', 'taske_api', 'SELECT', of_own_trigger),
        ('run_counts', 'taske_api', 'SELECT', own),
        ('poll_ledger', 'taske_api', 'ALL', of_own_trigger),
        ('subscriptions', 'taske_api', 'SELECT', own),
        ('app_hooks', 'taske_api', 'ALL', by_admins),
        ('data_keys', 'taske_api', 'ALL', '(user_id IS NULL OR ' || own || $q$) AND purpose IN ('hooks', 'credentials')$q$),
        ('authorization_states', 'taske_api', 'ALL', $q$purpose = 'connect' AND ($q$ || found_or_own || ')'),
        ('audit', 'taske_api', 'ALL', own),
        ('signing_keys', 'taske_api', 'SELECT', 'true'),
        ('modules', 'taske_api', 'SELECT', 'true'),
        ('capabilities', 'taske_api', 'SELECT', 'true'),
        ('modules', 'taske_api', 'INSERT', by_admins),
        ('capabilities', 'taske_api', 'INSERT', by_admins),
        ('modules', 'taske_api', 'UPDATE', by_admins),
        ('capabilities', 'taske_api', 'UPDATE', by_admins),

        ('users', 'taske_auth', 'ALL', '(SELECT mine()) IS NULL OR id = (SELECT mine())'),
        ('sessions', 'taske_auth', 'ALL', found_or_own),
        ('refresh_tokens', 'taske_auth', 'ALL', found_or_own),
        ('one_time_tokens', 'taske_auth', 'ALL', found_or_own),
        ('api_keys', 'taske_auth', 'ALL', found_or_own),
        ('totp_factors', 'taske_auth', 'ALL', found_or_own),
        ('recovery_codes', 'taske_auth', 'ALL', found_or_own),
        ('login_challenges', 'taske_auth', 'ALL', found_or_own),
        ('code_failures', 'taske_auth', 'ALL', found_or_own),
        ('tasks', 'taske_auth', 'SELECT', own),
        ('hosts', 'taske_auth', 'SELECT', 'true'),
        ('login_failures', 'taske_auth', 'ALL', 'true'),
        ('idempotency_keys', 'taske_auth', 'ALL', found_or_own),
        ('authorization_states', 'taske_auth', 'ALL', $q$purpose = 'login'$q$),
        ('identities', 'taske_auth', 'ALL', found_or_own),
        ('signing_keys', 'taske_auth', 'ALL', 'true'),
        ('data_keys', 'taske_auth', 'ALL', $q$purpose = 'auth' AND (user_id IS NULL OR $q$ || found_or_own || ')'),
        ('mails', 'taske_auth', 'ALL', found_or_own),
        ('audit', 'taske_auth', 'ALL', found_or_own)
    ) AS r(of, for_role, command, test)
    UNION ALL       -- what the engine may at all, it may for all
    SELECT t.name, 'taske_engine', 'ALL', CASE t.name WHEN 'data_keys' THEN $q$purpose IN ('hooks', 'credentials')$q$ ELSE 'true' END,
           'taske_engine_all'
    FROM unnest(ARRAY['users', 'data_keys', 'modules', 'capabilities', 'tasks', 'task_versions', 'triggers', 'connections',
                      'chores', 'runs', 'steps', 'attempts', 'events', 'skips', 'checks', 'poll_ledger', 'hosts', 'mails',
                      'run_ends', 'run_counts', 'audit', 'oauth_clients', 'connection_authorizations', 'subscriptions',
                      'app_hooks']) AS t(name)
    UNION ALL       -- migrations, the doors and the operator's own commands work as the owner, who is forced, too
    SELECT c.relname, current_user, 'ALL', 'true', 'owner_all'
    FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND c.relname <> 'alembic_version';

    FOR found IN
        SELECT DISTINCT w.of FROM wanted w JOIN pg_class c ON c.oid = to_regclass(quote_ident(w.of))
        WHERE NOT (c.relrowsecurity AND c.relforcerowsecurity)
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', found.of);
    END LOOP;
    FOR found IN
        SELECT c.relname, p.polname FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
        WHERE c.relnamespace = current_schema()::regnamespace
          AND NOT EXISTS (SELECT FROM wanted w WHERE w.of = c.relname AND w.name = p.polname
                          AND obj_description(p.oid, 'pg_policy') = md5(w.for_role || w.command || w.test))
    LOOP
        EXECUTE format('DROP POLICY %I ON %I', found.polname, found.relname);
    END LOOP;
    FOR rule IN
        SELECT w.* FROM wanted w
        WHERE NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = to_regclass(quote_ident(w.of)) AND p.polname = w.name)
    LOOP
        EXECUTE format('CREATE POLICY %I ON %I FOR %s TO %I %s', rule.name, rule.of, rule.command, rule.for_role,
            CASE rule.command WHEN 'INSERT' THEN format('WITH CHECK (%s)', rule.test) ELSE format('USING (%s)', rule.test) END);
        EXECUTE format('COMMENT ON POLICY %I ON %I IS %L', rule.name, rule.of, md5(rule.for_role || rule.command || rule.test));
    END LOOP;
    DROP TABLE wanted;
END
$policies$;
