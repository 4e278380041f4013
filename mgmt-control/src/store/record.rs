//! Records of ended calls and the progress of maps; bounded by retention.

use gridmart_schemas::{
    id::{CallId, Incarnation, JobId, NodeId, ReportId},
    wire::record::{CallRecord, JobProgress},
};
use rusqlite::{Connection, Row, params};
use time::OffsetDateTime;

use super::{During, StoreError, count, json, number, parsed, to_json};

/// A record with its place in the order of arrival.
pub(crate) struct StoredRecord {
    /// Counts up with each record.
    pub(crate) sequence: u64,
    /// The record.
    pub(crate) record: CallRecord,
}

/// Notes that a batch is in; `false`: it was in before.
pub(crate) fn record_batch_insert(
    connection: &Connection,
    node: NodeId,
    incarnation: Incarnation,
    sequence: u64,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    connection
        .execute(
            "INSERT OR IGNORE INTO record_batch (node, incarnation, sequence, received)
             VALUES (?1, ?2, ?3, ?4)",
            params![
                node.to_string(),
                incarnation.to_string(),
                number(sequence),
                now.unix_timestamp()
            ],
        )
        .during("record_batch_insert")
        .map(|changed| changed > 0)
}

/// Writes a record; the same attempt a second time changes nothing.
pub(crate) fn call_record_insert(
    connection: &Connection,
    record: &CallRecord,
) -> Result<(), StoreError> {
    let insert = || -> rusqlite::Result<usize> {
        connection
            .prepare_cached(
                "INSERT OR IGNORE INTO call_record (call, host, submitted, application, record)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![
                record.call.to_string(),
                record.host.to_string(),
                microseconds(record.submitted),
                record.application,
                to_json(record)?
            ])
    };
    insert().during("call_record_insert").map(drop)
}

fn microseconds(moment: OffsetDateTime) -> i64 {
    i64::try_from(moment.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}

/// Reads records older than `before`, newest first.
pub(crate) fn call_record_page(
    connection: &Connection,
    application: Option<&str>,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<StoredRecord>, StoreError> {
    let before = before.map_or(i64::MAX, number);
    let read = |row: &Row<'_>| {
        Ok(StoredRecord {
            sequence: count(row, "sequence")?,
            record: json(row, "record")?,
        })
    };
    let sql = match application {
        Some(_) => {
            "SELECT * FROM call_record WHERE application = ?3 AND sequence < ?1
             ORDER BY sequence DESC LIMIT ?2"
        }
        None => {
            "SELECT * FROM call_record WHERE ?3 IS NULL AND sequence < ?1
             ORDER BY sequence DESC LIMIT ?2"
        }
    };
    let mut statement = connection.prepare_cached(sql).during("call_record_page")?;
    let rows = statement
        .query_map(params![before, limit, application], read)
        .during("call_record_page")?;
    rows.collect::<rusqlite::Result<_>>()
        .during("call_record_page")
}

/// Reads all attempts of one call, oldest first.
pub(crate) fn call_record_of(
    connection: &Connection,
    call: CallId,
) -> Result<Vec<CallRecord>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT record FROM call_record WHERE call = ?1 ORDER BY sequence")
        .during("call_record_of")?;
    let rows = statement
        .query_map([call.to_string()], |row| json(row, "record"))
        .during("call_record_of")?;
    rows.collect::<rusqlite::Result<_>>()
        .during("call_record_of")
}

/// Adds progress of a map to what is known of it; a report that is in already
/// changes nothing, whatever batch it comes in.
pub(crate) fn job_progress_add(
    connection: &Connection,
    progress: &JobProgress,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    if let Some(report) = progress.report
        && !job_report_insert(connection, report, now)?
    {
        return Ok(());
    }
    let JobProgress {
        report: _,
        lease: _,
        ended: _,
        job,
        owner,
        application,
        version,
        host,
        finished,
        failed,
        wall_us,
        cpu_us,
    } = progress;
    connection
        .prepare_cached(
            "INSERT INTO job_progress (job, host, owner, application, version,
                                       finished, failed, wall_us, cpu_us, updated)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (job, host) DO UPDATE SET
                 finished = finished + ?6, failed = failed + ?7,
                 wall_us = wall_us + ?8, cpu_us = cpu_us + ?9, updated = ?10",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                job.to_string(),
                host.to_string(),
                owner.as_str(),
                application,
                version,
                number(*finished),
                number(*failed),
                number(*wall_us),
                number(*cpu_us),
                now.unix_timestamp()
            ])
        })
        .during("job_progress_add")
        .map(drop)
}

/// Notes a report; `false` if it was in already.
fn job_report_insert(
    connection: &Connection,
    report: ReportId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    connection
        .prepare_cached("INSERT OR IGNORE INTO job_report (report, received) VALUES (?1, ?2)")
        .and_then(|mut statement| {
            statement.execute(params![report.to_string(), now.unix_timestamp()])
        })
        .during("job_report_insert")
        .map(|changed| changed > 0)
}

/// Reads the progress of a map, per Host.
pub(crate) fn job_progress_of(
    connection: &Connection,
    job: JobId,
) -> Result<Vec<JobProgress>, StoreError> {
    let read = |row: &Row<'_>| {
        Ok(JobProgress {
            report: None,
            lease: None,
            ended: None,
            job: parsed(row, "job")?,
            owner: parsed(row, "owner")?,
            application: row.get("application")?,
            version: row.get("version")?,
            host: parsed(row, "host")?,
            finished: count(row, "finished")?,
            failed: count(row, "failed")?,
            wall_us: count(row, "wall_us")?,
            cpu_us: count(row, "cpu_us")?,
        })
    };
    let mut statement = connection
        .prepare_cached("SELECT * FROM job_progress WHERE job = ?1 ORDER BY host")
        .during("job_progress_of")?;
    let rows = statement
        .query_map([job.to_string()], read)
        .during("job_progress_of")?;
    rows.collect::<rusqlite::Result<_>>()
        .during("job_progress_of")
}

/// What the store keeps, at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retention {
    /// Records of ended calls; and as many of ended transfers, and of SQL sessions.
    pub(crate) call_records: u64,
    /// Rows of map progress (one per map and Host).
    pub(crate) job_rows: u64,
    /// Batches and reports received before this are forgotten.
    pub(crate) batches_since: OffsetDateTime,
}

/// Removes what is beyond the retention, oldest first; returns the rows removed.
pub(crate) fn retain(connection: &Connection, retention: Retention) -> Result<u64, StoreError> {
    let remove = || -> rusqlite::Result<usize> {
        let records = connection.execute(
            "DELETE FROM call_record WHERE sequence <=
                 (SELECT sequence FROM call_record ORDER BY sequence DESC LIMIT 1 OFFSET ?1)",
            [number(retention.call_records)],
        )?;
        let transfers = connection.execute(
            "DELETE FROM transfer_record WHERE sequence <=
                 (SELECT sequence FROM transfer_record ORDER BY sequence DESC LIMIT 1 OFFSET ?1)",
            [number(retention.call_records)],
        )?;
        let sessions = connection.execute(
            "DELETE FROM sql_session_record WHERE sequence <= (SELECT sequence
                 FROM sql_session_record ORDER BY sequence DESC LIMIT 1 OFFSET ?1)",
            [number(retention.call_records)],
        )?;
        let jobs = connection.execute(
            "DELETE FROM job_progress WHERE rowid IN
                 (SELECT rowid FROM job_progress ORDER BY updated DESC LIMIT -1 OFFSET ?1)",
            [number(retention.job_rows)],
        )?;
        let batches = connection.execute(
            "DELETE FROM record_batch WHERE received < ?1",
            [retention.batches_since.unix_timestamp()],
        )?;
        let reports = connection.execute(
            "DELETE FROM job_report WHERE received < ?1",
            [retention.batches_since.unix_timestamp()],
        )?;
        Ok(records + transfers + sessions + jobs + batches + reports)
    };
    remove().during("retain").map(|rows| rows as u64)
}
