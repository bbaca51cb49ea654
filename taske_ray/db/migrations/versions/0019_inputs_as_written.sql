-- A step's input is kept as it was written: jsonb has an order of keys and a way to write numbers of its own, and a
-- request that is repeated under the same key has to be the same, byte for byte (durability, 1: D3).
ALTER TABLE steps ALTER COLUMN input TYPE json;
