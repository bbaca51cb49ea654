-- A check that failed leaves the cursor where it is.
WITH failed AS (
    UPDATE triggers SET consecutive_errors = consecutive_errors + 1 WHERE id = %(id)s RETURNING id
)
INSERT INTO checks (trigger_id, result) SELECT id, %(result)s::jsonb FROM failed
