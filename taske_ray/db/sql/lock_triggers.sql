-- Before events of tasks whose runs must not overlap are recorded: one transaction at a time, in the order of ids. The
-- statement that counts the live runs comes after, so that it sees what the one before committed (durability, 3.4).
SELECT id FROM triggers WHERE id = ANY(%(trigger_ids)s::uuid[]) ORDER BY id FOR NO KEY UPDATE
