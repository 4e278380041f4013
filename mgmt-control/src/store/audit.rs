//! The audit log: only ever appended to.

use gridmart_schemas::api::audit::AuditRow;
use rusqlite::{Connection, Row, params};
use time::OffsetDateTime;

use super::{During, StoreError, count, moment, number, parsed_option};
use crate::catalogue::audit::AuditEntry;

/// Appends an entry.
pub(crate) fn audit_insert(
    connection: &Connection,
    now: OffsetDateTime,
    entry: &AuditEntry,
    result: &str,
) -> Result<(), StoreError> {
    let AuditEntry {
        actor,
        action,
        target,
        request,
        detail,
    } = entry;
    connection
        .prepare_cached(
            "INSERT INTO audit (time, actor, action, target, result, request, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                now.unix_timestamp(),
                actor,
                action,
                target,
                result,
                request.map(|request| request.to_string()),
                detail
            ])
        })
        .during("audit_insert")
        .map(drop)
}

/// Reads entries older than `before`, newest first.
pub(crate) fn audit_page(
    connection: &Connection,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<AuditRow>, StoreError> {
    let before = before.map_or(i64::MAX, number);
    let mut statement = connection
        .prepare_cached("SELECT * FROM audit WHERE sequence < ?1 ORDER BY sequence DESC LIMIT ?2")
        .during("audit_page")?;
    let rows = statement
        .query_map(params![before, limit], audit)
        .during("audit_page")?;
    rows.collect::<rusqlite::Result<_>>().during("audit_page")
}

fn audit(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        sequence: count(row, "sequence")?,
        time: moment(row, "time")?,
        actor: row.get("actor")?,
        action: row.get("action")?,
        target: row.get("target")?,
        result: row.get("result")?,
        request_id: parsed_option(row, "request")?,
        detail: row.get("detail")?,
    })
}
