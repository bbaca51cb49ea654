-- End leases at once: of a host that drained, or of ones whose processes are known to have exited.
UPDATE hosts SET state = %(state)s, expires_at = least(expires_at, clock_timestamp())
WHERE id = ANY(%(ids)s::uuid[]) AND state = 'live'
