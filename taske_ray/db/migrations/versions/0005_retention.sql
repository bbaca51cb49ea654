-- Retention (durability, 10.3). What needs the owner of the tables is a function with the owner's rights that decides by
-- itself, so that those who may call it can ask for nothing else.
CREATE TABLE chores (                                          -- what one host at a time does now and then
    name text PRIMARY KEY,
    begun_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO chores (name) VALUES ('housekeeping');

CREATE INDEX ON events USING brin (recorded_at);
CREATE INDEX ON poll_ledger USING brin (seen_at);
CREATE INDEX ON runs (user_id, id) WHERE status = 'needs_attention';

-- One week's partition of one table; false when it is there, or when rows of that week already lie in the default
-- partition, where they stay. A statement each, so that a short lock on one table is all that others may wait for.
CREATE FUNCTION ensure_partition(parent text, at timestamptz) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    part text := parent || '_' || to_char(at AT TIME ZONE 'UTC', 'IYYY"w"IW');
BEGIN
    IF parent NOT IN ('runs', 'steps', 'attempts') OR at NOT BETWEEN clock_timestamp() - interval '8 days'
                                                             AND clock_timestamp() + interval '60 days' THEN
        RAISE EXCEPTION 'no partition of % for %', parent, at;
    END IF;
    IF to_regclass(format('%I.%I', current_schema(), part)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', part, parent, week_floor_uuid(at),
                   week_floor_uuid(at + interval '7 days'));
    EXECUTE format('ALTER TABLE %I SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05)', part);
    RETURN true;
EXCEPTION WHEN check_violation OR duplicate_table THEN
    RETURN false;
END
$$;

-- Drop one table's partition of a week that ended more than `kept` ago (at least a day) and holds no unfinished run.
CREATE FUNCTION drop_partition(parent text, week text, kept interval) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    unfinished boolean;
BEGIN
    IF parent NOT IN ('runs', 'steps', 'attempts') OR week !~ '^\d{4}w\d{2}$' OR kept < interval '1 day'
       OR to_date(week, 'IYYY"w"IW') + interval '7 days' > (clock_timestamp() - kept) AT TIME ZONE 'UTC' THEN
        RAISE EXCEPTION 'the partition % of % is to be kept', week, parent;
    END IF;
    -- each by its own partial index: nothing is read but what is unfinished
    EXECUTE format('SELECT EXISTS (SELECT FROM %1$I WHERE status IN (''queued'', ''waiting''))
                        OR EXISTS (SELECT FROM %1$I WHERE status = ''running'')
                        OR EXISTS (SELECT FROM %1$I WHERE status = ''needs_attention'')', 'runs_' || week) INTO unfinished;
    IF unfinished THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE IF EXISTS %I', parent || '_' || week);
    RETURN true;
END
$$;

-- Prune what belongs to accounts and only the owner and the API may read: failed logins, lapsed tokens, kept answers.
CREATE FUNCTION prune_accounts() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$
    WITH failures AS (
        DELETE FROM login_failures WHERE failed_at < clock_timestamp() - interval '1 day' RETURNING 1
    ),
    tokens AS (
        DELETE FROM one_time_tokens WHERE expires_at < clock_timestamp() - interval '1 day' RETURNING 1
    ),
    refreshes AS (
        DELETE FROM refresh_tokens WHERE expires_at < clock_timestamp() - interval '1 day' RETURNING 1
    ),
    answers AS (
        DELETE FROM idempotency_keys WHERE created_at < clock_timestamp() - interval '25 hours' RETURNING 1
    )
    SELECT (SELECT count(*) FROM failures) + (SELECT count(*) FROM tokens) + (SELECT count(*) FROM refreshes)
           + (SELECT count(*) FROM answers)
$$;

DO $$
DECLARE
    made text;
BEGIN
    FOREACH made IN ARRAY ARRAY['ensure_partition(text, timestamptz)', 'drop_partition(text, text, interval)', 'prune_accounts()']
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', made, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', made);
    END LOOP;
END
$$;
