-- Times are microseconds since 1970, UTC. Identifiers are the 16 bytes of the
-- UUID, roots 32 bytes, keys their UTF-8 bytes (so they sort as S3 wants it).
-- A `number` is the sequence of the record that made the row, where one record
-- makes one row: newer rows have larger numbers. Columns named `head`,
-- `checksums`: JSON.

-- The one row: the epoch under which is written, and the last record applied.
CREATE TABLE ledger (
    one           INTEGER PRIMARY KEY CHECK (one = 1),
    epoch         INTEGER NOT NULL,
    last_epoch    INTEGER NOT NULL,
    last_sequence INTEGER NOT NULL
) STRICT;
INSERT INTO ledger VALUES (1, 0, 0, 0);

-- The newest records, for replicas that were away; cut at snapshots.
CREATE TABLE log (
    sequence INTEGER PRIMARY KEY,
    epoch    INTEGER NOT NULL,
    record   BLOB NOT NULL
) STRICT;

CREATE TABLE host (
    number  INTEGER PRIMARY KEY,
    id      BLOB NOT NULL UNIQUE,
    known   INTEGER NOT NULL,
    removed INTEGER
) STRICT;

CREATE TABLE bucket (
    number        INTEGER PRIMARY KEY,
    id            BLOB NOT NULL UNIQUE,
    name          TEXT NOT NULL UNIQUE,
    owner         TEXT NOT NULL,
    redundancy    TEXT NOT NULL,
    versioning    TEXT NOT NULL,
    object_lock   INTEGER NOT NULL,
    quota_bytes   INTEGER,
    quota_objects INTEGER,
    created       INTEGER NOT NULL,
    -- Counted with every change: objects that are seen, versions with markers,
    -- bytes of all versions, bytes of the parts of uploads.
    objects       INTEGER NOT NULL DEFAULT 0,
    versions      INTEGER NOT NULL DEFAULT 0,
    bytes         INTEGER NOT NULL DEFAULT 0,
    upload_bytes  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE bucket_document (
    bucket   INTEGER NOT NULL REFERENCES bucket (number) ON DELETE CASCADE,
    kind     TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (bucket, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE version (
    number         INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE,
    bucket         INTEGER NOT NULL REFERENCES bucket (number),
    key            BLOB NOT NULL,
    is_null        INTEGER NOT NULL,
    is_marker      INTEGER NOT NULL,
    is_latest      INTEGER NOT NULL,
    size           INTEGER NOT NULL,
    etag           TEXT NOT NULL,
    created        INTEGER NOT NULL,
    -- How many parts it was made of; 0: it was put as a whole.
    parts          INTEGER NOT NULL,
    retention_mode TEXT,
    retain_until   INTEGER,
    legal_hold     INTEGER NOT NULL,
    head           TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX version_of_key ON version (bucket, key, number DESC);
CREATE UNIQUE INDEX version_seen ON version (bucket, key) WHERE is_latest = 1 AND is_marker = 0;
CREATE UNIQUE INDEX version_null ON version (bucket, key) WHERE is_null = 1;

CREATE TABLE upload (
    number         INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE,
    version        BLOB NOT NULL,
    bucket         INTEGER NOT NULL REFERENCES bucket (number),
    key            BLOB NOT NULL,
    owner          TEXT NOT NULL,
    created        INTEGER NOT NULL,
    retention_mode TEXT,
    retain_until   INTEGER,
    legal_hold     INTEGER NOT NULL,
    head           TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX upload_of_key ON upload (bucket, key, number);

-- A run of bytes: of a version, of an upload, or of neither (then in garbage).
CREATE TABLE part (
    number    INTEGER PRIMARY KEY,
    version   INTEGER,
    upload    INTEGER,
    part      INTEGER NOT NULL,
    -- Its first byte in the version.
    start     INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    etag      TEXT NOT NULL,
    checksums TEXT NOT NULL,
    created   INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX part_of_version ON part (version, start, part) WHERE version IS NOT NULL;
CREATE UNIQUE INDEX part_of_upload ON part (upload, part) WHERE upload IS NOT NULL;

CREATE TABLE garbage (
    part  INTEGER PRIMARY KEY REFERENCES part (number),
    since INTEGER NOT NULL
) STRICT;
CREATE INDEX garbage_since ON garbage (since);

CREATE TABLE stripe (
    number         INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE,
    part           INTEGER NOT NULL REFERENCES part (number),
    ordinal        INTEGER NOT NULL,
    -- Its first byte in the part.
    start          INTEGER NOT NULL,
    data_length    INTEGER NOT NULL,
    redundancy     TEXT NOT NULL,
    payload_length INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX stripe_of_part ON stripe (part, start);

CREATE TABLE block (
    stripe   INTEGER NOT NULL REFERENCES stripe (number),
    position INTEGER NOT NULL,
    host     INTEGER NOT NULL REFERENCES host (number),
    root     BLOB NOT NULL,
    PRIMARY KEY (stripe, position)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX block_of_host ON block (host, stripe);

-- Positions to be made anew: damaged, or never written.
CREATE TABLE repair (
    stripe   INTEGER NOT NULL REFERENCES stripe (number),
    position INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    PRIMARY KEY (stripe, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX repair_since ON repair (since);

CREATE TABLE access_key (
    id            TEXT PRIMARY KEY,
    person        TEXT NOT NULL,
    sealed_secret BLOB NOT NULL,
    label         TEXT NOT NULL,
    created       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX access_key_of_person ON access_key (person);

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
