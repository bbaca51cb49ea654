-- What an owner sees and takes off is named by an id; issuer and subject are nobody else's to know.
ALTER TABLE identities ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid();
CREATE UNIQUE INDEX ON identities (id);
