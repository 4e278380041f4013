//! Where the rows of a shadow are: a table beside them, which nobody's statement reaches.

use gridmart_schemas::data::{Epoch, LogPoint, Position};
use mysql_async::{Conn, Params, prelude::Queryable as _};

use super::{
    failure::{Failure as _, Phase},
    whole::whole,
};
use crate::data::{engine::EngineError, log::Whole};

/// Its name.
pub(super) const TABLE: &str = "gridmart_place";
/// Makes it.
pub(super) const MAKE: &str = "CREATE TABLE gridmart_place (one TINYINT PRIMARY KEY CHECK \
    (one = 1), position BIGINT NOT NULL, epoch BIGINT NOT NULL, changing_position BIGINT, \
    changing_epoch BIGINT, whole_before CHAR(64)) ENGINE=InnoDB";
/// Takes it away: from then on the rows are none of a shadow's.
pub(super) const DROP: &str = "DROP TABLE gridmart_place";

fn point(position: i64, epoch: i64) -> LogPoint {
    LogPoint {
        position: Position::new(position),
        epoch: Epoch::new(epoch),
    }
}

/// Puts the first.
pub(super) async fn put(conn: &mut Conn, last: LogPoint) -> Result<(), EngineError> {
    let (position, epoch) = (last.position.number(), last.epoch.number());
    let text =
        format!("INSERT INTO gridmart_place VALUES (1, {position}, {epoch}, NULL, NULL, NULL)");
    conn.query_drop(text).await.during(Phase::Commit)
}

/// The statement that moves it, and finds it where it was.
pub(super) fn move_text(last: LogPoint, before: Position) -> String {
    let (position, epoch) = (last.position.number(), last.epoch.number());
    let before = before.number();
    format!(
        "UPDATE gridmart_place SET position = {position}, epoch = {epoch}, changing_position = \
         NULL, changing_epoch = NULL, whole_before = NULL WHERE position = {before}"
    )
}

/// Notes that the schema is going to be changed, and what it is now.
pub(super) async fn changing_put(
    conn: &mut Conn,
    entry: LogPoint,
    before: &str,
) -> Result<(), EngineError> {
    let (position, epoch) = (entry.position.number(), entry.epoch.number());
    let text = format!(
        "UPDATE gridmart_place SET changing_position = {position}, changing_epoch = {epoch}, \
         whole_before = '{before}'"
    );
    conn.query_drop(text).await.during(Phase::Commit)
}

/// Where they are; `None`: there is no such table, or nothing in it.
pub(super) async fn of(conn: &mut Conn) -> Result<Option<LogPoint>, EngineError> {
    let text = "SELECT position, epoch FROM gridmart_place";
    let told: Result<Option<(i64, i64)>, EngineError> =
        conn.query_first(text).await.during(Phase::Statement);
    match told {
        Ok(told) => Ok(told.map(|(position, epoch)| point(position, epoch))),
        Err(EngineError::Refused { state, .. }) if state.0 == "42P01" => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a change of the schema was begun, and its end not noted.
pub(super) async fn is_changing(conn: &mut Conn) -> Result<bool, EngineError> {
    let text = "SELECT changing_position IS NOT NULL FROM gridmart_place";
    let told: Option<bool> = conn.query_first(text).await.during(Phase::Statement)?;
    Ok(told.unwrap_or_default())
}

/// Notes the end of a change of the schema that was done, or that it was not done. Nobody may
/// be at it any more.
pub(super) async fn settle(conn: &mut Conn) -> Result<(), EngineError> {
    let now = sum_of(&whole(conn).await?);
    let text = "UPDATE gridmart_place SET position = IF(whole_before = ?, position, \
        changing_position), epoch = IF(whole_before = ?, epoch, changing_epoch), \
        changing_position = NULL, changing_epoch = NULL, whole_before = NULL \
        WHERE changing_position IS NOT NULL";
    let params = Params::from((now.clone(), now));
    conn.exec_drop(text, params).await.during(Phase::Commit)
}

/// What tells one schema from another.
pub(super) fn sum_of(whole: &Whole) -> String {
    let mut hasher = blake3::Hasher::new();
    for table in &whole.tables {
        hasher.update(&(table.len() as u64).to_le_bytes());
        hasher.update(table.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
