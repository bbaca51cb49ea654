-- Pages of the audit trail, newest first: ids are in the order of their time.
CREATE INDEX ON audit (user_id, id);
DROP INDEX IF EXISTS audit_user_id_at_idx;
