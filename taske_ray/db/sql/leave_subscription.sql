-- The former registration of a row that has a new one: to be ended by itself.
INSERT INTO subscriptions (id, trigger_id, user_id, capability, capability_version, connection_id, given, hook_hash, spec,
                           status, data_key, sealed)
SELECT %(id)s, trigger_id, user_id, capability, capability_version, connection_id, given, hook_hash, spec, 'ending',
       %(data_key)s, %(sealed)s
FROM subscriptions WHERE id = %(old)s AND taken_until = %(taken_until)s
RETURNING id
