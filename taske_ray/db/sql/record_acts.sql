-- Acts that are recorded for themselves, not with what they did.
INSERT INTO audit (id, user_id, session_id, key_id, address, action, object, result, detail)
SELECT id, user_id, session_id, key_id, address, action, object, result, detail
FROM jsonb_to_recordset(%(acts)s::jsonb) AS act(id uuid, user_id uuid, session_id uuid, key_id uuid, address text,
                                                action text, object text, result text, detail jsonb)
ON CONFLICT DO NOTHING
