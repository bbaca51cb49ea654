-- One of many equal requests gets the key; the others read what it has answered so far. While a request is being
-- answered `body` names its claim, which lapses after a minute (its process died); an answer lapses after a day.
INSERT INTO idempotency_keys AS kept (user_id, key, request_hash, body)
VALUES (%(user_id)s, %(key)s, %(request_hash)s, to_jsonb(%(claim)s::text))
ON CONFLICT (user_id, key) DO UPDATE
SET (request_hash, status, body, created_at) = (
    SELECT CASE WHEN lapsed THEN excluded.request_hash ELSE kept.request_hash END,
           CASE WHEN lapsed THEN NULL ELSE kept.status END,
           CASE WHEN lapsed THEN excluded.body ELSE kept.body END,
           CASE WHEN lapsed THEN clock_timestamp() ELSE kept.created_at END
    FROM (SELECT kept.created_at < clock_timestamp()
                 - CASE WHEN kept.status IS NULL THEN interval '1 minute' ELSE interval '24 hours' END AS lapsed) AS age
)
RETURNING request_hash, status, body, status IS NULL AND body = to_jsonb(%(claim)s::text) AS ours
