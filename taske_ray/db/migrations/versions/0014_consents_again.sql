-- A consent may be for a connection that is there and gets a new credential: then it is not made where it is gone.
ALTER TABLE connection_authorizations ADD COLUMN reconnects boolean NOT NULL DEFAULT false;
