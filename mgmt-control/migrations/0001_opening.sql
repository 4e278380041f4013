-- Times are seconds since 1970, UTC. Identifiers are lower-case UUID text.
-- A "wish" is three columns: desired, generation, cut_epoch.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE person (
    name          TEXT PRIMARY KEY,
    role          TEXT NOT NULL,
    domain        TEXT,
    enabled       INTEGER NOT NULL,
    password_hash TEXT NOT NULL,
    created       INTEGER NOT NULL
) STRICT;

CREATE TABLE api_token (
    id          TEXT PRIMARY KEY,
    person      TEXT NOT NULL REFERENCES person (name),
    label       TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL
) STRICT;
CREATE INDEX api_token_expires ON api_token (expires);

CREATE TABLE join_token (
    id          TEXT PRIMARY KEY,
    kind        TEXT NOT NULL,
    domain      TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    uses_left   INTEGER NOT NULL,
    label       TEXT NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL
) STRICT;

CREATE TABLE node (
    id         TEXT PRIMARY KEY,
    kind       TEXT NOT NULL,
    domain     TEXT NOT NULL,
    name       TEXT NOT NULL,
    parent     TEXT NOT NULL,
    joined     INTEGER NOT NULL,
    not_after  INTEGER NOT NULL,
    revoked    INTEGER NOT NULL,
    desired    TEXT NOT NULL,
    generation INTEGER NOT NULL,
    cut_epoch  INTEGER NOT NULL
) STRICT;

-- What Elements and Hosts last said of themselves, without State: JSON.
CREATE TABLE element (
    node        TEXT PRIMARY KEY REFERENCES node (id),
    endpoints   TEXT NOT NULL,
    description TEXT NOT NULL
) STRICT;

CREATE TABLE host (
    node        TEXT PRIMARY KEY REFERENCES node (id),
    element     TEXT NOT NULL REFERENCES node (id),
    description TEXT NOT NULL
) STRICT;

CREATE TABLE application (
    digest     TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    version    TEXT NOT NULL,
    size       INTEGER NOT NULL,
    manifest   TEXT NOT NULL,
    owner      TEXT NOT NULL REFERENCES person (name),
    uploaded   INTEGER NOT NULL,
    is_default INTEGER NOT NULL,
    desired    TEXT NOT NULL,
    generation INTEGER NOT NULL,
    cut_epoch  INTEGER NOT NULL,
    UNIQUE (name, version)
) STRICT;
CREATE UNIQUE INDEX application_default ON application (name) WHERE is_default = 1;

-- Wishes for one application on one Host, where they were given apart.
CREATE TABLE host_application (
    digest     TEXT NOT NULL REFERENCES application (digest),
    host       TEXT NOT NULL REFERENCES node (id),
    desired    TEXT NOT NULL,
    generation INTEGER NOT NULL,
    cut_epoch  INTEGER NOT NULL,
    PRIMARY KEY (digest, host)
) STRICT;

-- Ended calls; `call`, `host` and `submitted` (microseconds) name one attempt.
CREATE TABLE call_record (
    sequence    INTEGER PRIMARY KEY AUTOINCREMENT,
    call        TEXT NOT NULL,
    host        TEXT NOT NULL,
    submitted   INTEGER NOT NULL,
    application TEXT NOT NULL,
    record      TEXT NOT NULL,
    UNIQUE (call, host, submitted)
) STRICT;
CREATE INDEX call_record_application ON call_record (application, sequence);

CREATE TABLE job_progress (
    job         TEXT NOT NULL,
    host        TEXT NOT NULL,
    owner       TEXT NOT NULL,
    application TEXT NOT NULL,
    version     TEXT NOT NULL,
    finished    INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    wall_us     INTEGER NOT NULL,
    cpu_us      INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    PRIMARY KEY (job, host)
) STRICT;
CREATE INDEX job_progress_updated ON job_progress (updated);

-- Batches of records that are in already, so that a repeated one is recognised.
CREATE TABLE record_batch (
    node        TEXT NOT NULL,
    incarnation TEXT NOT NULL,
    sequence    INTEGER NOT NULL,
    received    INTEGER NOT NULL,
    PRIMARY KEY (node, incarnation, sequence)
) STRICT;
CREATE INDEX record_batch_received ON record_batch (received);

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    time     INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    action   TEXT NOT NULL,
    target   TEXT NOT NULL,
    result   TEXT NOT NULL,
    request  TEXT,
    detail   TEXT NOT NULL
) STRICT;
