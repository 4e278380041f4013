-- How everything was, in steps of five minutes of the last day: packed values of
-- the whole, and of each node (id, means, largest), as feed/history.rs has them.
CREATE TABLE history (
    step  INTEGER PRIMARY KEY,
    whole BLOB NOT NULL,
    nodes BLOB NOT NULL
) STRICT;
