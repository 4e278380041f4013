-- Reports of a map's progress that are counted already: an Element that starts
-- again sends what was not acknowledged in batches of another cut.
CREATE TABLE job_report (
    report   TEXT PRIMARY KEY,
    received INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX job_report_received ON job_report (received);
