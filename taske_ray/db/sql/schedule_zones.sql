-- The time zones of enabled schedules, and the digest of the rules their instants were computed by.
SELECT s.zone, z.digest
FROM (SELECT DISTINCT spec ->> 'timezone' AS zone FROM triggers WHERE enabled AND kind = 'cron') s
LEFT JOIN zone_rules z ON z.zone = s.zone
WHERE s.zone IS NOT NULL
