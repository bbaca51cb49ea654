-- Why a lease was not given: the tokens are other ones by now, somebody else is asking, or two holders died over it.
SELECT CASE WHEN c.version <> %(version)s THEN 'moved'
            WHEN c.refresh_owner IS NULL THEN 'free'
            WHEN c.refresh_until > clock_timestamp()
                 AND EXISTS (SELECT FROM hosts h
                             WHERE h.id = c.refresh_owner AND h.state = 'live' AND h.expires_at > clock_timestamp())
            THEN 'busy'
            WHEN c.refresh_tries >= 2 THEN 'lost'
            ELSE 'free' END AS standing
FROM connections c
WHERE c.id = %(connection_id)s AND c.user_id IS NOT DISTINCT FROM %(owner)s
