-- The enabled triggers of an app whose connection belongs to the tenant that a delivery names.
SELECT g.id AS trigger_id, g.user_id, g.task_id, g.version, g.enabled, g.overlap, g.capability, g.capability_version, g.spec,
       c.config
FROM triggers g
JOIN connections c ON c.id = g.connection_id
WHERE g.enabled AND g.hook_mode = 'app' AND g.capability LIKE %(module)s || '.%%' AND c.module = %(module)s
  AND c.config ->> %(match)s = %(tenant)s
