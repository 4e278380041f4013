-- Stripes that were collected: a commit whose answer was lost, and which is sent
-- again, must not name blocks that are gone. Kept as long as one can be sent.
CREATE TABLE collected (
    stripe BLOB PRIMARY KEY,
    since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX collected_since ON collected (since);
