-- What a consent brought: the connection is there, or has a new credential, and what waited for it goes on. A connection
-- that was deleted meanwhile is not made again, and none of somebody else is touched.
WITH given AS (
    SELECT %(connection_id)s::uuid AS id, %(owner)s::uuid AS owner, %(reconnects)s::boolean AS reconnects
),
made AS (
    INSERT INTO connections (id, user_id, module, auth, name, label, config, data_key, sealed, hints, scopes, token_at,
                             refresh_from, token_expires_at, tested_at)
    SELECT id, owner, %(module)s, %(auth)s, %(name)s, %(label)s, %(config)s::jsonb, %(data_key)s, %(sealed)s,
           %(hints)s::jsonb, %(scopes)s::text[], %(token_at)s, %(refresh_from)s, %(expires_at)s, clock_timestamp()
    FROM given WHERE NOT reconnects
    ON CONFLICT (id) DO NOTHING
    RETURNING id
),
remade AS (
    UPDATE connections c
    SET label = coalesce(%(label)s, c.label), config = %(config)s::jsonb, data_key = %(data_key)s, sealed = %(sealed)s,
        hints = %(hints)s::jsonb, scopes = %(scopes)s::text[], token_at = %(token_at)s, refresh_from = %(refresh_from)s,
        token_expires_at = %(expires_at)s, tested_at = clock_timestamp(), updated_at = clock_timestamp(),
        version = c.version + 1, given = c.given + 1, status = 'active', status_reason = NULL,
        refresh_owner = NULL, refresh_until = NULL, refresh_tries = 0
    FROM given g
    WHERE g.reconnects AND c.id = g.id AND c.user_id IS NOT DISTINCT FROM g.owner
      AND c.module = %(module)s AND c.auth = %(auth)s
    RETURNING c.id
),
resumed AS (
    UPDATE triggers t SET paused_reason = NULL, consecutive_errors = 0, change = nextval('trigger_changes')
    FROM remade WHERE t.connection_id = remade.id AND t.paused_reason IS NOT NULL
),
ended AS (
    UPDATE connection_authorizations a SET status = 'succeeded', sealed = NULL
    FROM (SELECT id FROM made UNION ALL SELECT id FROM remade) done
    WHERE a.id = %(id)s
    RETURNING a.id
)
SELECT id FROM ended
