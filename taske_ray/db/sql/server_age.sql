-- When this server began to run, and how many seconds ago.
SELECT pg_postmaster_start_time() AS started_at,
       extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())::float8 AS age_s
