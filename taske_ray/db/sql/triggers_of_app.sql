-- The enabled triggers of an app whose connection belongs to the tenant that a delivery names. The index finds connections
-- by what they hold, and some hold their tenant as a number.
SELECT g.id AS trigger_id, g.user_id, g.task_id, g.version, g.enabled, g.overlap, g.capability, g.capability_version, g.spec,
       c.config
FROM connections c
JOIN triggers g ON g.connection_id = c.id
WHERE c.module = %(module)s AND c.config ->> %(match)s = %(tenant)s
  AND c.config @> ANY (ARRAY[
      jsonb_build_object(%(match)s::text, %(tenant)s::text),
      jsonb_build_object(%(match)s::text, CASE WHEN %(tenant)s::text ~ '^(0|[1-9][0-9]{0,14})$' THEN to_jsonb(%(tenant)s::text::bigint)
                                               ELSE to_jsonb(%(tenant)s::text) END)])
  AND g.enabled AND g.hook_mode = 'app' AND starts_with(g.capability, %(module)s || '.')
