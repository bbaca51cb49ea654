-- Whether another connection may live on the same account at the provider: same scheme, and same name there or none known.
SELECT EXISTS (
    SELECT FROM connections c
    JOIN connections o ON o.module = c.module AND o.auth = c.auth AND o.id <> c.id
    WHERE c.id = %(connection_id)s AND (c.label IS NULL OR o.label IS NULL OR o.label = c.label)
) AS shared
