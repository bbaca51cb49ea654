-- The incarnation of the integration client that an intent names: whoever takes the run over asks it (durability, 6.4).
ALTER TABLE attempts ADD COLUMN client uuid;

-- A run's first write by its owner clears `assigned_at`: what still has it was never begun there (4.2).
DROP INDEX runs_owner_assigned_at_idx;
CREATE INDEX ON runs (owner, assigned_at) WHERE status = 'running' AND assigned_at IS NOT NULL;

-- Runs that took two of their hosts along execute alone, in a host of their own (5.7).
ALTER TABLE hosts DROP CONSTRAINT hosts_kind_check,
    ADD CONSTRAINT hosts_kind_check CHECK (kind IN ('run', 'watcher', 'client', 'quarantine'));
CREATE INDEX ON runs (available_at) WHERE crashes >= 2 AND status IN ('queued', 'waiting', 'running');
