-- Limits of one user (durability, 12).
CREATE INDEX ON runs (available_at) WHERE status IN ('queued', 'waiting');  -- whether anybody's due run waits for a slot
ALTER TABLE runs ADD COLUMN depth smallint NOT NULL DEFAULT 0;  -- how many runs of ours stand behind it (`Taske-Depth`)

CREATE TABLE run_counts (                                      -- a user's runs of a day (UTC), where they are limited
    user_id uuid NOT NULL,
    day date NOT NULL,
    runs int NOT NULL,
    PRIMARY KEY (user_id, day)
);
