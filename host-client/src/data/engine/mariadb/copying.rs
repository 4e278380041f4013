//! Makes the mirror of a database: its rows as they are at one place of the binary log.

use gridmart_schemas::data::{Schema, SqlType};
use mysql_async::{Conn, Params, prelude::Queryable as _};

use super::{
    Shared, describe,
    failure::{Failure as _, Phase},
    gtid::Gtids,
    log::MariaSource,
    value, whole,
};
use crate::data::{
    engine::{
        EngineError, SqlState,
        mirror::{Begin, Index, Parts, Seat, fill},
        sqlite::schema::quoted,
    },
    home::Home,
    log::State,
};

/// What the server has to be set to, and the statement that does so.
const SETTINGS: &[(&str, &str, &str)] = &[
    (
        "log_bin",
        "1",
        "log_bin = gridmart-bin in the server's file of options and a restart of it",
    ),
    ("binlog_format", "ROW", "SET GLOBAL binlog_format = ROW"),
    (
        "binlog_row_image",
        "FULL",
        "SET GLOBAL binlog_row_image = FULL",
    ),
    ("log_bin_compress", "0", "SET GLOBAL log_bin_compress = OFF"),
    // Otherwise log and tables differ after a power cut.
    ("sync_binlog", "1", "SET GLOBAL sync_binlog = 1"),
    (
        "innodb_flush_log_at_trx_commit",
        "1",
        "SET GLOBAL innodb_flush_log_at_trx_commit = 1",
    ),
    (
        "mysql56_temporal_format",
        "1",
        "SET GLOBAL mysql56_temporal_format = ON",
    ),
];
/// The right that reading the log takes.
const RIGHT: &str = "REPLICATION SLAVE";

/// Makes it, in the place of what the copy's folder has. Nobody may change the schema
/// meanwhile.
pub(super) async fn make(
    shared: &Shared,
    seat: &Seat<MariaSource>,
    home: &Home,
    old: &State,
) -> Result<(), EngineError> {
    let mut conn = shared.access.connect().await?;
    require_log(&mut conn).await?;
    // What sessions have taken over from the server's settings may be older.
    shared.renew_writers();
    let place = view_begin(&mut conn).await?;
    let schema = describe::of(&mut conn).await?;
    let indexes = indexes(&mut conn).await?;
    let whole = Some(whole::whole(&mut conn).await?);
    let begin = Begin { place, whole };
    fill(seat, home, old, begin, async |parts: &mut Parts| {
        send(&mut conn, schema, indexes, parts).await
    })
    .await?;
    let _ = conn.disconnect().await;
    Ok(())
}

/// Whether the server can keep its log for shadows; else what an administrator has to do.
pub(super) async fn require_log(conn: &mut Conn) -> Result<(), EngineError> {
    let mut lacks = Vec::new();
    let names: Vec<String> = SETTINGS
        .iter()
        .map(|(name, ..)| format!("CAST(@@GLOBAL.{name} AS CHAR)"))
        .collect();
    let text = format!("SELECT CONCAT_WS(',', {})", names.join(", "));
    let told: Option<String> = conn.query_first(text).await.during(Phase::Statement)?;
    let told = told.unwrap_or_default();
    let mut told = told.split(',');
    for (_, wanted, mend) in SETTINGS {
        // Switches are told in letters or as numbers.
        let told = match told.next().unwrap_or_default() {
            "ON" => "1",
            "OFF" => "0",
            other => other,
        };
        if told != *wanted {
            lacks.push((*mend).to_owned());
        }
    }
    let grants: Vec<String> = conn
        .query("SHOW GRANTS FOR CURRENT_USER()")
        .await
        .during(Phase::Statement)?;
    if let Some(account) = describe::lacks_right(&grants, RIGHT) {
        lacks.push(format!("GRANT {RIGHT} ON *.* TO {account}"));
    }
    if !lacks.is_empty() {
        return Err(EngineError::Logless {
            need: lacks.join("; "),
        });
    }
    require_still_keys(conn).await
}

/// What foreign keys change by themselves is not in the server's log.
async fn require_still_keys(conn: &mut Conn) -> Result<(), EngineError> {
    let text = "SELECT table_name FROM information_schema.referential_constraints
        WHERE constraint_schema = DATABASE()
          AND (delete_rule NOT IN ('RESTRICT', 'NO ACTION')
            OR update_rule NOT IN ('RESTRICT', 'NO ACTION')) LIMIT 1";
    let table: Option<String> = conn.query_first(text).await.during(Phase::Statement)?;
    table.map_or(Ok(()), |table| {
        Err(acting_key(&format!("the table {table:?} has one")))
    })
}

/// Refuses a foreign key that changes rows.
pub(super) fn acting_key(which: &str) -> EngineError {
    EngineError::refused(
        SqlState::NOT_SUPPORTED,
        format!(
            "a foreign key that changes rows by itself (ON DELETE or ON UPDATE with CASCADE or SET \
             NULL) is not supported on MariaDB in a database with shadows, since the server's log \
             does not tell what it changes: {which}"
        ),
    )
}

/// Whether a change of the schema makes one.
pub(super) fn makes_acting_key(text: &str) -> bool {
    let mut bare = String::with_capacity(text.len());
    let mut quote = None;
    for letter in text.chars() {
        match quote {
            None if matches!(letter, '\'' | '"') => quote = Some(letter),
            None => bare.push(letter.to_ascii_uppercase()),
            Some(open) if open == letter => quote = None,
            Some(_) => {}
        }
    }
    let events = ["ON DELETE ", "ON UPDATE "];
    let mut actions = events.iter().flat_map(|event| bare.split(event).skip(1));
    actions.any(|action| action.starts_with("CASCADE") || action.starts_with("SET "))
}

/// Begins a view; gives its place in the binary log.
async fn view_begin(conn: &mut Conn) -> Result<Gtids, EngineError> {
    for text in [
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ] {
        conn.query_drop(text).await.during(Phase::Statement)?;
    }
    let told: Vec<(String, String)> = conn
        .query("SHOW STATUS LIKE 'binlog_snapshot%'")
        .await
        .during(Phase::Statement)?;
    let of = |name: &str| {
        let mut told = told.iter();
        let found = told.find(|(told, _)| told.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    };
    let (file, offset) = (of("binlog_snapshot_file"), of("binlog_snapshot_position"));
    let place: Option<Option<String>> = conn
        .exec_first("SELECT BINLOG_GTID_POS(?, ?)", (file, offset))
        .await
        .during(Phase::Statement)?;
    let place = place.flatten().and_then(|place| place.parse().ok());
    place.ok_or_else(|| EngineError::Logless {
        need: format!("why its binary log has no place at {file:?} {offset}"),
    })
}

/// Those that people made: the mirror has to know what is dropped.
async fn indexes(conn: &mut Conn) -> Result<Vec<Index>, EngineError> {
    let text = "SELECT index_name, table_name, column_name FROM information_schema.statistics
        WHERE table_schema = DATABASE() AND index_comment = 'gridmart'
        ORDER BY table_name, index_name, seq_in_index";
    let told: Vec<(String, String, String)> = conn.query(text).await.during(Phase::Statement)?;
    let mut indexes: Vec<Index> = Vec::new();
    for (name, table, column) in told {
        match indexes.last_mut() {
            Some(last) if last.name == name && last.table == table => last.columns.push(column),
            _ => indexes.push(Index {
                name,
                table,
                columns: vec![column],
            }),
        }
    }
    Ok(indexes)
}

async fn send(
    conn: &mut Conn,
    schema: Schema,
    mut indexes: Vec<Index>,
    parts: &mut Parts,
) -> Result<(), EngineError> {
    parts.views(schema.views).await?;
    for table in schema.tables {
        let columns = table.columns.iter();
        let names: Vec<String> = columns.map(|column| quoted(&column.name)).collect();
        let types: Vec<SqlType> = table.columns.iter().map(|column| column.sql_type).collect();
        let text = format!("SELECT {} FROM {}", names.join(", "), quoted(&table.name));
        let own = indexes
            .extract_if(.., |index| index.table == table.name)
            .collect();
        parts.table(table, own).await?;
        let mut rows = conn
            .exec_iter(text, Params::Empty)
            .await
            .during(Phase::Statement)?;
        while let Some(row) = rows.next().await.during(Phase::Statement)? {
            parts.row(value::row(row, &types)?).await?;
        }
        rows.drop_result().await.during(Phase::Statement)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_keys_that_change_rows_are_found() {
        let key = "CREATE TABLE \"a\" (x INT REFERENCES \"b\" (\"y\")";
        assert!(makes_acting_key(&format!("{key} ON DELETE CASCADE)")));
        assert!(makes_acting_key(&format!(
            "{key} ON DELETE RESTRICT ON UPDATE SET NULL)"
        )));
        assert!(!makes_acting_key(&format!("{key} ON DELETE NO ACTION)")));
        assert!(!makes_acting_key(
            "CREATE TABLE \"ON DELETE CASCADE\" (x INT DEFAULT ('it''s ON DELETE CASCADE'))"
        ));
    }
}
