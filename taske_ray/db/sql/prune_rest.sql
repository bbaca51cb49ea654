-- What is kept for its own time and is never much: skips, checks, sent mails, counts of yesterday, ended hosts.
WITH old_skips AS (
    DELETE FROM skips WHERE last_at < clock_timestamp() - make_interval(days => %(kept_days)s) RETURNING 1
),
old_checks AS (
    DELETE FROM checks WHERE checked_at < clock_timestamp() - make_interval(days => %(kept_days)s) RETURNING 1
),
old_mails AS (
    DELETE FROM mails WHERE status <> 'queued' AND created_at < clock_timestamp() - make_interval(days => %(kept_days)s)
    RETURNING 1
),
old_counts AS (
    DELETE FROM run_counts WHERE day < (clock_timestamp() AT TIME ZONE 'UTC')::date - 1 RETURNING 1
),
old_hosts AS (
    DELETE FROM hosts WHERE state <> 'live' AND expires_at < clock_timestamp() - interval '1 day' RETURNING 1
)
SELECT (SELECT count(*) FROM old_skips) + (SELECT count(*) FROM old_checks) + (SELECT count(*) FROM old_mails)
       + (SELECT count(*) FROM old_counts) + (SELECT count(*) FROM old_hosts) AS deleted
