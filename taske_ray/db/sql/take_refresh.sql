-- The lease on a connection's tokens (durability, 6.10): whoever gets a row may ask the provider once. A lease that was
-- neither stored nor given back is one whose holder died: it is taken over once, for exactly one further try. (The
-- holder itself may take it again: it asks once at a time, so it has not died and could merely not give it back.)
UPDATE connections c
SET refresh_owner = %(client)s, refresh_until = clock_timestamp() + %(lease_s)s * interval '1 second',
    refresh_tries = CASE WHEN c.refresh_owner = %(client)s THEN c.refresh_tries ELSE c.refresh_tries + 1 END
WHERE c.id = %(connection_id)s AND c.user_id IS NOT DISTINCT FROM %(owner)s AND c.version = %(version)s
  AND (c.refresh_owner = %(client)s
       OR c.refresh_tries < 2
          AND (c.refresh_owner IS NULL OR c.refresh_until <= clock_timestamp()
               OR NOT EXISTS (SELECT FROM hosts h
                              WHERE h.id = c.refresh_owner AND h.state = 'live' AND h.expires_at > clock_timestamp())))
RETURNING c.refresh_until
