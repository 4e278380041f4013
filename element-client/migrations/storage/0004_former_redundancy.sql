-- How buckets kept their stripes before they were changed, and until when: what
-- was begun then may end so. Kept as long as a put may take.
CREATE TABLE former_redundancy (
    bucket     INTEGER NOT NULL REFERENCES bucket (number) ON DELETE CASCADE,
    redundancy TEXT NOT NULL,
    until      INTEGER NOT NULL,
    PRIMARY KEY (bucket, redundancy)
) STRICT, WITHOUT ROWID;
