-- Runs that were held back by another run of their task may be claimed when none of it is live any more (durability, 3.4);
-- of several that are held, one at a time, the oldest first.
UPDATE runs r SET available_at = clock_timestamp()
WHERE r.exclusive AND r.status = 'queued' AND r.available_at = held_until()
  AND NOT EXISTS (SELECT FROM runs o WHERE o.task_id = r.task_id AND o.exclusive AND o.id <> r.id
                                           AND o.status IN ('queued', 'running', 'waiting')
                                           AND (o.id < r.id OR o.available_at <> held_until()))
RETURNING r.id
