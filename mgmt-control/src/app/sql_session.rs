//! SQL sessions: the Data Elements are asked which stand, and told what to end;
//! those that have ended are in the store. People see and end their own, operators
//! all.

use gridmart_schemas::{
    api::{
        Page,
        command::CommandView,
        sql_session::{SqlSessionRecordsPage, SqlSessionShown, SqlSessionsView},
    },
    id::SqlSessionId,
    problem::Problem,
    role::NodeKind,
    wire::sql_session::{
        SqlSessionList, SqlSessionRecord, SqlSessionTerminate, SqlSessionView, SqlSessionsTold,
    },
};

use super::{Control, activity::next_page, context::Context, personal::Personal};
use crate::{
    failure::Failure,
    store::sql_session::{self, SqlSessionFilter, StoredSqlSession},
};

/// Rows in an answer.
const ROWS_MAX: u32 = 1000;

const SESSION: Personal = Personal {
    noun: "SQL session",
    nouns: "SQL sessions",
    kind: NodeKind::DataElement,
    element: "Data Element",
    action: "sql_session.kill",
};

/// Which sessions are meant.
#[derive(Clone, Debug, Default)]
pub struct Meant {
    /// On the database of this name.
    pub database: Option<String>,
    /// Of this person.
    pub person: Option<String>,
}

/// Lists those that stand on all Data Elements that answer.
pub async fn sql_session_list(
    control: &Control,
    context: &Context,
    meant: &Meant,
    limit: u32,
) -> Result<SqlSessionsView, Problem> {
    let request = SqlSessionList {
        session: None,
        person: SESSION.whose(context, meant.person.as_deref())?,
        database: meant.database.clone(),
        limit: limit.clamp(1, ROWS_MAX),
    };
    Ok(standing(control, context, &request).await)
}

async fn standing(
    control: &Control,
    context: &Context,
    request: &SqlSessionList,
) -> SqlSessionsView {
    let (answers, silent) = SESSION.ask_all(control, context, request).await;
    let told = answers
        .into_iter()
        .flat_map(|SqlSessionsTold { sessions }| sessions);
    let mut sessions: Vec<SqlSessionView> = told.collect();
    sessions.sort_by_key(|row| (row.subject.started, row.subject.session));
    sessions.truncate(request.limit as usize);
    SqlSessionsView { sessions, silent }
}

/// Lists ended ones, newest first.
pub async fn sql_session_record_list(
    control: &Control,
    context: &Context,
    meant: Meant,
    before: Option<u64>,
    limit: u32,
) -> Result<SqlSessionRecordsPage, Failure> {
    let limit = limit.clamp(1, ROWS_MAX);
    let person = SESSION.whose(context, meant.person.as_deref())?;
    let filter = SqlSessionFilter {
        person: person.map(|person| person.to_string()),
        database: meant.database,
    };
    let rows = control
        .catalogue
        .read(move |store| sql_session::sql_session_record_page(store, &filter, before, limit))
        .await?;
    let next = next_page(&rows, limit, |row: &StoredSqlSession| row.sequence);
    Ok(Page {
        items: rows.into_iter().map(|row| row.record).collect(),
        next,
    })
}

/// Shows one, standing or ended.
pub async fn sql_session_view(
    control: &Control,
    context: &Context,
    id: SqlSessionId,
) -> Result<SqlSessionShown, Failure> {
    let request = SqlSessionList {
        session: Some(id),
        person: SESSION.whose(context, None)?,
        database: None,
        limit: 1,
    };
    let mut shown = standing(control, context, &request).await;
    if let Some(view) = shown.sessions.pop() {
        return Ok(SqlSessionShown::Running(view));
    }
    match ended(control, context, id).await? {
        Some(record) => Ok(SqlSessionShown::Ended(record)),
        None => Err(SESSION.nobody_knows(control, *id.as_uuid()).into()),
    }
}

/// The record of one that the actor may see.
async fn ended(
    control: &Control,
    context: &Context,
    id: SqlSessionId,
) -> Result<Option<SqlSessionRecord>, Failure> {
    let person = SESSION.whose(context, None)?;
    let read = control
        .catalogue
        .read(move |store| sql_session::sql_session_record_of(store, id));
    let found = read.await?;
    Ok(found.filter(|record| {
        person
            .as_ref()
            .is_none_or(|person| record.subject.person == *person)
    }))
}

/// Ends one.
pub async fn sql_session_kill(
    control: &Control,
    context: &Context,
    id: SqlSessionId,
) -> Result<CommandView, Failure> {
    let request = SqlSessionTerminate {
        session: id,
        person: SESSION.whose(context, None)?,
        by: context.actor.name.clone(),
    };
    let recorded = async { Ok(ended(control, context, id).await?.is_some()) };
    let meant = (*id.as_uuid(), &request);
    SESSION.kill(control, context, meant, recorded).await
}
