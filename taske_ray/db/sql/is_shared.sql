-- Whether another connection may live on the same account at the provider: same scheme, and same name there or none known.
-- Those of somebody who is leaving end with it.
SELECT EXISTS (
    SELECT FROM connections c
    JOIN connections o ON o.module = c.module AND o.auth = c.auth AND o.id <> c.id
    WHERE c.id = %(connection_id)s AND (c.label IS NULL OR o.label IS NULL OR o.label = c.label)
      AND o.user_id IS DISTINCT FROM COALESCE(%(leaving)s::uuid, '00000000-0000-0000-0000-000000000000')
) AS shared
