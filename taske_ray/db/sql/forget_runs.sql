-- A batch of the runs of an account that is gone (migrations/doors.sql).
SELECT forget_runs(%(gone)s, %(most)s) AS forgotten
