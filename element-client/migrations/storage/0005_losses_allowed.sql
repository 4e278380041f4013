-- How many blocks of a stripe may be missing when what is put is acknowledged.
ALTER TABLE bucket ADD COLUMN losses_allowed INTEGER NOT NULL DEFAULT 0;
