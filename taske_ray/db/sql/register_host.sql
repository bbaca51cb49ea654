-- A host begins a new incarnation with a lease of its own.
INSERT INTO hosts (id, kind, name, node, boot_id, pid, pid_started, capacity, expires_at)
VALUES (%(id)s, %(kind)s, %(name)s, %(node)s, %(boot_id)s, %(pid)s, %(pid_started)s, %(capacity)s,
        clock_timestamp() + make_interval(secs => %(lease_s)s))
RETURNING extract(epoch FROM clock_timestamp())::float8 AS now, extract(epoch FROM expires_at)::float8 AS expires_at
