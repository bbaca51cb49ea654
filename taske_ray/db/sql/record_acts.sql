-- Acts that are recorded for themselves, not with what they did.
INSERT INTO audit SELECT act.* FROM jsonb_array_elements(%(acts)s::jsonb) AS told, act_of(told) AS act
ON CONFLICT DO NOTHING
