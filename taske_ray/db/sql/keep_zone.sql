-- Which rules the instants of a zone were computed by.
INSERT INTO zone_rules (zone, digest) VALUES (%(zone)s, %(digest)s)
ON CONFLICT (zone) DO UPDATE SET digest = excluded.digest
