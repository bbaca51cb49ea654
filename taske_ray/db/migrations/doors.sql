-- What a role may do by one door only: functions with the owner's rights that decide by themselves, so that those who may
-- call them can ask for nothing else. Applied after `roles.sql` at every start; a door with another answer than before
-- needs DROP FUNCTION first.

-- Whose rows a transaction is about: set by the database's door (`db/database.py`); null, and equal to nothing, without.
CREATE OR REPLACE FUNCTION mine() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('taske.user_id', true), '')::uuid
$$;

-- The one task that a transaction is bound to, because an API key is; null without.
CREATE OR REPLACE FUNCTION only_task() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(current_setting('taske.task_id', true), '')::uuid
$$;

-- An act as it is told (`audit.Entry`), as a row of the trail. No door: it reads and writes nothing.
CREATE OR REPLACE FUNCTION act_of(told jsonb) RETURNS audit LANGUAGE sql AS $$
    SELECT jsonb_populate_record(NULL::audit, told || jsonb_build_object('at', clock_timestamp()))
$$;

-- Every request with an access token: by primary key, so that revocation acts on the next one.
CREATE OR REPLACE FUNCTION caller_of_session(wanted uuid, issued_at double precision, signed_by text)
RETURNS TABLE (user_id uuid, email text, role text, locale text, session_id uuid, recent boolean, password_due boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
    RETURN QUERY
    SELECT u.id, u.email, u.role, u.locale, s.id, s.authenticated_at > clock_timestamp() - interval '10 minutes',
           u.password_due
    FROM sessions s
    JOIN users u ON u.id = s.user_id
    WHERE s.id = wanted
      AND s.revoked_at IS NULL
      AND s.expires_at > clock_timestamp()
      AND u.status = 'active'
      AND to_timestamp(issued_at) >= date_trunc('second', u.not_before)
      AND EXISTS (SELECT FROM signing_keys k
                  WHERE k.kid = signed_by AND (k.retired_at IS NULL OR k.retired_at > clock_timestamp()));
END
$$;

-- Every request with an API key. Its last use is written at most once a minute, so that reading stays reading.
CREATE OR REPLACE FUNCTION caller_of_key(digest bytea)
RETURNS TABLE (user_id uuid, email text, role text, locale text, key_id uuid, scopes text[], task_id uuid)
LANGUAGE plpgsql SECURITY DEFINER AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH found AS (
        SELECT k.id AS key_id, k.scopes, k.task_id, k.last_used_at, u.id AS user_id, u.email, u.role, u.locale
        FROM api_keys k
        JOIN users u ON u.id = k.user_id
        WHERE k.hash = digest
          AND k.revoked_at IS NULL
          AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp())
          AND u.status = 'active'
    ), used AS (
        UPDATE api_keys SET last_used_at = clock_timestamp()
        FROM found
        WHERE api_keys.id = found.key_id
          AND (found.last_used_at IS NULL OR found.last_used_at < clock_timestamp() - interval '1 minute')
    )
    SELECT found.user_id, found.email, found.role, found.locale, found.key_id, found.scopes, found.task_id FROM found;
END
$$;

-- Whether the user that a transaction names is an administrator, for the policies of the catalog.
CREATE OR REPLACE FUNCTION caller_is_admin() RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT EXISTS (SELECT FROM users WHERE id = mine() AND role = 'admin' AND status = 'active')
$$;

-- Which tasks use these capabilities, of all users, and in which version: told to administrators, and to the operator,
-- who has taken on no role.
CREATE OR REPLACE FUNCTION uses_of(names text[])
RETURNS TABLE (task_id uuid, capability text, version int, named boolean) LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT t.id, pin.key, pin.value::int, v.spec::text LIKE '%"' || pin.key || '@' || pin.value || '"%'
    FROM tasks t JOIN task_versions v ON v.task_id = t.id AND v.version = t.version
    CROSS JOIN LATERAL jsonb_each_text(v.pins) pin
    WHERE pin.key = ANY(names) AND (caller_is_admin() OR current_setting('role') = 'none')
    ORDER BY t.id, pin.key
$$;

-- What everybody did, newest first, for administrators.
CREATE OR REPLACE FUNCTION all_acts(before uuid, whose uuid, what text, came text, since timestamptz, until timestamptz, most int)
RETURNS SETOF audit LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
    IF NOT caller_is_admin() THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT a.* FROM audit a
    WHERE (before IS NULL OR a.id < before)
      AND (whose IS NULL OR a.user_id = whose)
      AND (what IS NULL OR a.action = what OR starts_with(a.action, what || '.'))
      AND (came IS NULL OR a.result = came)
      AND (since IS NULL OR a.at >= since)
      AND (until IS NULL OR a.at < until)
    ORDER BY a.id DESC
    LIMIT least(most, 1000);
END
$$;

-- The connections of the instance, as far as those who use them must know: that they are there, and what they may.
CREATE OR REPLACE FUNCTION instance_connections()
RETURNS TABLE (id uuid, module text, auth text, status text, scopes text[]) LANGUAGE sql STABLE SECURITY DEFINER AS $$
    SELECT c.id, c.module, c.auth, c.status, c.scopes FROM connections c WHERE c.user_id IS NULL
$$;

-- An administrator has given a connection of the instance a new credential: whoever's trigger waited for it goes on.
CREATE OR REPLACE FUNCTION resume_instance_triggers(connection uuid) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE triggers SET paused_reason = NULL, consecutive_errors = 0, change = nextval('trigger_changes')
    WHERE connection_id = connection AND paused_reason IS NOT NULL AND caller_is_admin()
      AND EXISTS (SELECT FROM connections c WHERE c.id = connection AND c.user_id IS NULL)
$$;

-- The recorded steps that a replay does not repeat: copied for a run that is not there yet, which no policy could judge.
CREATE OR REPLACE FUNCTION copy_steps(source uuid, target uuid, before int) RETURNS void
LANGUAGE sql SECURITY DEFINER AS $$
    INSERT INTO steps (run_id, step, key, capability, status, input, output, error, started_at, finished_at)
    SELECT target, s.step, s.key, s.capability, s.status, s.input, s.output, s.error, s.started_at, s.finished_at
    FROM steps s
    JOIN runs r ON r.id = s.run_id
    WHERE s.run_id = source AND r.user_id = mine() AND s.step < before
      AND s.status IN ('succeeded', 'failed', 'skipped')
      AND NOT EXISTS (SELECT FROM runs t WHERE t.id = target)
$$;

-- An account was disabled: its triggers pause; enabled again: those that paused for that go on. Not for any other account.
CREATE OR REPLACE FUNCTION suspend_tasks(of uuid, suspended boolean) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE triggers
    SET paused_reason = CASE WHEN suspended THEN 'the account is disabled' END, change = nextval('trigger_changes')
    WHERE user_id = of
      AND suspended = EXISTS (SELECT FROM users WHERE id = of AND status = 'disabled')
      AND paused_reason IS NOT DISTINCT FROM CASE WHEN NOT suspended THEN 'the account is disabled' END
$$;

-- A batch of what is left of an account that is gone: its runs with their steps, attempts and ends; how many runs.
CREATE OR REPLACE FUNCTION forget_runs(gone uuid, most int) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH left_over AS (
        SELECT id FROM runs WHERE user_id = gone AND NOT EXISTS (SELECT FROM users WHERE id = gone) LIMIT most
    ),
    its_attempts AS (DELETE FROM attempts a USING left_over l WHERE a.run_id = l.id),
    its_steps AS (DELETE FROM steps s USING left_over l WHERE s.run_id = l.id),
    its_ends AS (DELETE FROM run_ends e USING left_over l WHERE e.run_id = l.id),
    forgotten AS (DELETE FROM runs r USING left_over l WHERE r.id = l.id RETURNING 1)
    SELECT count(*) FROM forgotten
$$;

-- Prune what belongs to accounts and nobody but the API may read: failed logins, lapsed tokens and visits, kept answers,
-- and what the audit trail has kept for its 90 days.
CREATE OR REPLACE FUNCTION prune_accounts() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH failures AS (
        DELETE FROM login_failures WHERE failed_at < clock_timestamp() - interval '1 day' RETURNING 1
    ),
    wrong_codes AS (
        DELETE FROM code_failures WHERE failed_at < clock_timestamp() - interval '1 day' RETURNING 1
    ),
    tokens AS (
        DELETE FROM one_time_tokens WHERE expires_at < clock_timestamp() - interval '1 day' RETURNING 1
    ),
    challenges AS (
        DELETE FROM login_challenges WHERE expires_at < clock_timestamp() - interval '1 day' RETURNING 1
    ),
    refreshes AS (
        DELETE FROM refresh_tokens WHERE expires_at < clock_timestamp() - interval '1 day' RETURNING 1
    ),
    swept AS (
        UPDATE refresh_tokens SET successor_sealed = NULL
        WHERE successor_sealed IS NOT NULL AND used_at < clock_timestamp() - interval '10 seconds'
          AND expires_at >= clock_timestamp() - interval '1 day'
    ),
    ended AS (
        DELETE FROM sessions WHERE expires_at < clock_timestamp() - interval '1 day' RETURNING 1
    ),
    visits AS (
        DELETE FROM authorization_states WHERE expires_at < clock_timestamp() RETURNING 1
    ),
    consents AS (
        DELETE FROM connection_authorizations WHERE expires_at < clock_timestamp() - interval '1 day' RETURNING 1
    ),
    answers AS (
        DELETE FROM idempotency_keys WHERE created_at < clock_timestamp() - interval '25 hours' RETURNING 1
    ),
    acts AS (
        DELETE FROM audit WHERE at < clock_timestamp() - interval '91 days' RETURNING 1
    )
    SELECT (SELECT count(*) FROM failures) + (SELECT count(*) FROM wrong_codes) + (SELECT count(*) FROM tokens)
           + (SELECT count(*) FROM challenges) + (SELECT count(*) FROM refreshes) + (SELECT count(*) FROM ended)
           + (SELECT count(*) FROM visits) + (SELECT count(*) FROM consents) + (SELECT count(*) FROM answers) + (SELECT count(*) FROM acts)
$$;

-- Tasks whose triggers were stopped because they did nothing but fail (`sql/stop_failing.sql`) are disabled, too.
CREATE OR REPLACE FUNCTION disable_failing(ids uuid[]) RETURNS void LANGUAGE sql SECURITY DEFINER AS $$
    UPDATE tasks k SET enabled = false, updated_at = clock_timestamp()
    FROM triggers g
    WHERE k.id = ANY(ids) AND g.task_id = k.id AND NOT g.enabled AND g.paused_reason LIKE 'failing:%'
$$;

DO $$
DECLARE
    made text;
BEGIN
    FOREACH made IN ARRAY ARRAY['caller_of_session(uuid, double precision, text)', 'caller_of_key(bytea)', 'caller_is_admin()',
                                'uses_of(text[])', 'copy_steps(uuid, uuid, int)', 'instance_connections()',
                                'all_acts(uuid, uuid, text, text, timestamptz, timestamptz, int)',
                                'resume_instance_triggers(uuid)', 'forget_runs(uuid, int)', 'suspend_tasks(uuid, boolean)', 'prune_accounts()',
                                'disable_failing(uuid[])'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', made, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made);
    END LOOP;
END
$$;
GRANT EXECUTE ON FUNCTION caller_of_session(uuid, double precision, text), caller_of_key(bytea) TO taske_api, taske_auth;
GRANT EXECUTE ON FUNCTION caller_is_admin(), uses_of(text[]), copy_steps(uuid, uuid, int), instance_connections(),
    resume_instance_triggers(uuid), all_acts(uuid, uuid, text, text, timestamptz, timestamptz, int) TO taske_api;
GRANT EXECUTE ON FUNCTION forget_runs(uuid, int) TO taske_auth, taske_engine;
GRANT EXECUTE ON FUNCTION suspend_tasks(uuid, boolean) TO taske_auth;
GRANT EXECUTE ON FUNCTION disable_failing(uuid[]), prune_accounts(), ensure_partition(text, timestamptz), drop_partition(text, text, interval)
    TO taske_engine;
