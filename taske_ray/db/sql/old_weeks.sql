-- The weeks with a partition of runs that ended more than `kept_days` ago, oldest first.
SELECT week FROM (
    SELECT substring(c.relname FROM '_(\d{4}w\d{2})$') AS week
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'runs'::regclass
) w
WHERE to_date(week, 'IYYY"w"IW') + interval '7 days'
      <= (clock_timestamp() - make_interval(days => %(kept_days)s)) AT TIME ZONE 'UTC'
ORDER BY week
