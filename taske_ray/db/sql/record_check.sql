-- What a check saw, for `explain`; the last hundred are kept.
WITH old AS (
    DELETE FROM checks WHERE trigger_id = %(id)s AND checked_at < (
        SELECT checked_at FROM checks WHERE trigger_id = %(id)s ORDER BY checked_at DESC OFFSET 98 LIMIT 1)
)
INSERT INTO checks (trigger_id, result) VALUES (%(id)s, %(result)s::jsonb)
