-- Ends that somebody is told of, written with the end and taken by any host: `system.run.failed`, and a mail.
CREATE TABLE run_ends (
    run_id uuid NOT NULL,
    fence bigint NOT NULL,
    status text NOT NULL CHECK (status IN ('failed', 'needs_attention')),
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    available_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, fence)
);
ALTER TABLE tasks ADD COLUMN failure_mailed_at timestamptz;
CREATE INDEX ON triggers (user_id) WHERE enabled AND capability = 'system.run.failed';
