-- Tasks whose runs must not overlap (durability, 3.4). A run of such a task is marked; one that waits for another of its
-- task to end is queued with `held_until()` as the moment from which it may be claimed.
ALTER TABLE runs ADD COLUMN exclusive boolean NOT NULL DEFAULT false;
CREATE INDEX ON runs (task_id) WHERE exclusive AND status IN ('queued', 'running', 'waiting');

CREATE FUNCTION held_until() RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$ SELECT timestamptz '9999-01-01 00:00:00+00' $$;
