-- These hosts are about to be ended on purpose: nobody is to blame for it (durability, 5.7).
UPDATE hosts SET state = 'dead', expires_at = least(expires_at, clock_timestamp())
WHERE name = ANY(%(names)s::text[]) AND state = 'live'
