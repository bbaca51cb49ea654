-- A check that failed leaves the cursor where it is; the last hundred checks are kept.
WITH failed AS (
    UPDATE triggers SET consecutive_errors = consecutive_errors + 1 WHERE id = %(id)s RETURNING id
),
old AS (
    DELETE FROM checks WHERE trigger_id = %(id)s AND checked_at < (
        SELECT checked_at FROM checks WHERE trigger_id = %(id)s ORDER BY checked_at DESC OFFSET 98 LIMIT 1)
)
INSERT INTO checks (trigger_id, result) SELECT id, %(result)s::jsonb FROM failed
