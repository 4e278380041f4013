-- What happened, for people: bounded, the oldest goes first. `open`: told to
-- everybody, without who did it; the others to operators.
CREATE TABLE event (
    sequence     INTEGER PRIMARY KEY AUTOINCREMENT,
    time         INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    severity     TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject      TEXT NOT NULL,
    subject_name TEXT NOT NULL,
    actor        TEXT,
    words        TEXT NOT NULL,
    open         INTEGER NOT NULL
) STRICT;
CREATE INDEX event_subject ON event (subject, sequence);
