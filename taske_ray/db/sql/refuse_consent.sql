-- Nothing came of a consent; the one who began it can see why.
UPDATE connection_authorizations
SET status = 'failed', error = %(error)s::jsonb, sealed = NULL, code_sealed = NULL, proof_sealed = NULL
WHERE id = %(id)s AND user_id = %(user_id)s AND status <> 'succeeded'
