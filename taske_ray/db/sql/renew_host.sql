-- Renew a host's lease; no row means that it was declared dead (durability, 5.2).
UPDATE hosts SET expires_at = clock_timestamp() + make_interval(secs => %(lease_s)s)
WHERE id = %(id)s AND state = 'live'
RETURNING extract(epoch FROM clock_timestamp())::float8 AS now, extract(epoch FROM expires_at)::float8 AS expires_at
