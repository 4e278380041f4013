//! SQL sessions: somebody who runs statements on one database of a Data Element,
//! as people see it.
//!
//! What a session is: at the PostgreSQL door one connection; for programs with the
//! SDK one database that is open on one stream.

use std::fmt;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{control_element::Terminated, requests};
use crate::{
    id::{DatabaseId, NodeId, PersonName, SqlSessionId},
    problem::Code,
    wire::record::CallState,
};

/// The most rows that an Element tells at a time.
pub const SQL_SESSIONS_MAX: u32 = 1000;

/// By which door somebody has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SqlDoor {
    /// Speaks PostgreSQL's protocol.
    Postgres,
    /// `/v1/data`, for programs with the SDK.
    Sdk,
}

impl fmt::Display for SqlDoor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Postgres => "postgres",
            Self::Sdk => "sdk",
        })
    }
}

/// Who runs statements, and on what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SqlSessionSubject {
    /// Which session.
    pub session: SqlSessionId,
    /// Whose.
    pub person: PersonName,
    /// The Element.
    pub element: NodeId,
    /// The database's id.
    pub database: DatabaseId,
    /// Its name, when the session began.
    pub database_name: String,
    /// By which door.
    pub door: SqlDoor,
    /// The address of the client, as the Element sees it; not known of programs
    /// with the SDK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// What the program calls itself (`application_name`), as it has said first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// When it began, by the Element's clock.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub started: OffsetDateTime,
}

/// What was run in a session so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SqlSessionCounts {
    /// Statements that were given to Hosts.
    pub statements: u64,
    /// Those of them that failed, and those that were refused before.
    pub failed: u64,
    /// Rows that were returned, and rows that were changed.
    pub rows: u64,
}

/// A session that stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SqlSessionView {
    /// What it is.
    #[serde(flatten)]
    pub subject: SqlSessionSubject,
    /// BES state and our sub-state: `Running:Idle`, `Running:Statement`,
    /// `Running:Transaction` (one is open, and nothing runs).
    pub state: String,
    /// Since when it is in that state, by the Element's clock.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub since: OffsetDateTime,
    /// What was run.
    #[serde(flatten)]
    pub counts: SqlSessionCounts,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SqlSessionEnd {
    /// A terminal state: `Finished` where its program has left, `Terminated` by
    /// `kill` or with the Element, `Failed` where the connection broke.
    pub state: CallState,
    /// Why it failed or was terminated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub code: Option<Code>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A session that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SqlSessionRecord {
    /// What it was.
    #[serde(flatten)]
    pub subject: SqlSessionSubject,
    /// What was run.
    #[serde(flatten)]
    pub counts: SqlSessionCounts,
    /// When it ended, by the Element's clock.
    #[serde(with = "time::serde::rfc3339")]
    #[schema(value_type = String, format = "date-time")]
    pub ended: OffsetDateTime,
    /// How.
    pub end: SqlSessionEnd,
}

// === Controller → Element ===

/// Which sessions stand?
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SqlSessionList {
    /// Only this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SqlSessionId>,
    /// Only of this person; absent: of everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonName>,
    /// Only on the database of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// At most so many, the oldest first, and never more than
    /// [`SQL_SESSIONS_MAX`].
    pub limit: u32,
}

/// Answer to [`SqlSessionList`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct SqlSessionsTold {
    /// The oldest first.
    pub sessions: Vec<SqlSessionView>,
}

/// End one session: what it runs is ended at the engine, what it has not
/// committed is taken back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SqlSessionTerminate {
    /// Which one.
    pub session: SqlSessionId,
    /// Only if it is of this person; absent: whosever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonName>,
    /// Who wants it, for the record.
    pub by: PersonName,
}

requests! {
    SqlSessionList = "sql-session-list" => SqlSessionsTold,
    SqlSessionTerminate = "sql-session-terminate" => Terminated,
}
