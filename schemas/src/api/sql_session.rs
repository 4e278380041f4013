//! SQL sessions, as people see them. People see their own, operators all.

use serde::{Deserialize, Serialize};

use crate::wire::sql_session::{SqlSessionRecord, SqlSessionView};

/// `GET /api/v1/sql-sessions` (`?database=`, `?person=`, `?limit=`): those that
/// stand.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SqlSessionsView {
    /// Of all Data Elements that answered, the oldest first.
    pub sessions: Vec<SqlSessionView>,
    /// Data Elements that did not answer.
    pub silent: Vec<String>,
}

/// `GET /api/v1/sql-session-records` (`?database=`, `?person=`, `?after=`,
/// `?limit=`): ended ones, newest first; bounded by the controller's retention.
pub type SqlSessionRecordsPage = super::Page<SqlSessionRecord>;

/// `GET /api/v1/sql-sessions/{id}`: standing, or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum SqlSessionShown {
    /// It has ended.
    Ended(SqlSessionRecord),
    /// It stands.
    Running(SqlSessionView),
}
