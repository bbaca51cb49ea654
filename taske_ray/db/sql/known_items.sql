-- Which of these items the ledger has.
SELECT l.key, l.version_key FROM unnest(%(keys)s::text[], %(version_keys)s::text[]) AS i(key, version_key)
JOIN poll_ledger l ON l.trigger_id = %(id)s AND l.key = i.key AND l.version_key = i.version_key
