-- Records of ended SQL sessions, as Data Elements tell them; each counts once.
CREATE TABLE sql_session_record (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    session  TEXT NOT NULL,
    element  TEXT NOT NULL,
    person   TEXT NOT NULL,
    database TEXT NOT NULL,
    record   TEXT NOT NULL,
    UNIQUE (session, element)
) STRICT;
CREATE INDEX sql_session_record_person ON sql_session_record (person, sequence);
CREATE INDEX sql_session_record_database ON sql_session_record (database, sequence);
