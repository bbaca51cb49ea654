-- The hosts that are live now.
SELECT id, kind, name, node, boot_id, pid, pid_started, capacity, extract(epoch FROM expires_at)::float8 AS expires_at
FROM hosts
WHERE state = 'live' AND expires_at > clock_timestamp()
ORDER BY kind, name, started_at
