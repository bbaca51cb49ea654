-- The rules that next instants were computed by: a digest of each zone's file. A new tzdata shows as another digest.
CREATE TABLE zone_rules (
    zone text PRIMARY KEY,
    digest bytea NOT NULL
);
