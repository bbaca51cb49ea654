-- The process that the latest incarnation of a host registered, live or not, if it is one of this machine.
SELECT pid, pid_started FROM hosts WHERE name = %(name)s AND boot_id = %(boot_id)s ORDER BY started_at DESC LIMIT 1
