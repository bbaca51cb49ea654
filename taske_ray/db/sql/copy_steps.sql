-- The recorded steps that a replay does not repeat (migrations/doors.sql).
SELECT copy_steps(%(source)s, %(target)s, %(before)s)
