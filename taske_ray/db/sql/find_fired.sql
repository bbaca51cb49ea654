-- The runs that events already have: for events that another transaction recorded while ours was looking.
SELECT e.trigger_id, e.fire_key, e.run_id, r.owner, r.fence
FROM unnest(%(trigger_ids)s::uuid[], %(fire_keys)s::text[]) AS k(trigger_id, fire_key)
JOIN events e USING (trigger_id, fire_key)
LEFT JOIN runs r ON r.id = e.run_id AND r.status = 'running'
