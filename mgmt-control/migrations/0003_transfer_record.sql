-- Records of ended transfers, as Storage Elements tell them; each counts once.
CREATE TABLE transfer_record (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    transfer TEXT NOT NULL,
    element  TEXT NOT NULL,
    owner    TEXT,
    bucket   TEXT NOT NULL,
    record   TEXT NOT NULL,
    UNIQUE (transfer, element)
) STRICT;
CREATE INDEX transfer_record_owner ON transfer_record (owner, sequence);
CREATE INDEX transfer_record_bucket ON transfer_record (bucket, sequence);
