-- Take a chore whose turn has come; no row when another host did (durability, 10.3).
UPDATE chores SET begun_at = clock_timestamp()
WHERE name = %(name)s AND begun_at < clock_timestamp() - make_interval(secs => %(every_s)s)
RETURNING name
