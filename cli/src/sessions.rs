//! `gridmart sessions`: who runs SQL statements, or did.

use gridmart_schemas::{
    api::sql_session::{SqlSessionRecordsPage, SqlSessionShown, SqlSessionsView},
    wire::sql_session::{
        SqlSessionCounts, SqlSessionEnd, SqlSessionRecord, SqlSessionSubject, SqlSessionView,
    },
};
use gridmart_sdk::SqlSessionFilter;
use serde::Serialize;

use crate::{
    failure::Failure,
    output::{Output, Page, moment, or_dash},
    remote,
};

/// Rows if nobody says otherwise.
const ROWS_DEFAULT: u32 = 100;

/// List SQL sessions: those that stand, or those that have ended.
///
/// People see their own, operators all. A session is one connection to the PostgreSQL door, or one database
/// that a program with the SDK has open. `gridmart kill SESSION` ends one: what it runs is ended at the
/// engine, what it has not committed is taken back.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Those that have ended, newest first
    #[arg(long)]
    ended: bool,
    /// Only on the database of this name
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    /// Only of this person
    #[arg(long, value_name = "PERSON")]
    person: Option<String>,
    /// At most so many
    #[arg(long, value_name = "ROWS", default_value_t = ROWS_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// With --ended: read on from an earlier answer's `next`
    #[arg(long, value_name = "NEXT", requires = "ended")]
    after: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Listed {
    Standing(SqlSessionsView),
    Ended(SqlSessionRecordsPage),
}

/// Lists them.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let Arguments {
        ended,
        database,
        person,
        limit,
        after,
    } = arguments;
    let filter = SqlSessionFilter {
        database: database.clone(),
        person: person.clone(),
        limit: Some(*limit),
    };
    let listed = remote::ask(async |client| {
        let sessions = client.sql_sessions();
        Ok(if *ended {
            Listed::Ended(sessions.records(&filter, after.clone()).await?)
        } else {
            Listed::Standing(sessions.list(&filter).await?)
        })
    })?;
    output.print(&listed, |page| match &listed {
        Listed::Standing(view) => standing(page, view),
        Listed::Ended(records) => ended_table(page, records),
    })
}

fn standing(page: &mut Page, view: &SqlSessionsView) {
    let rows = view.sessions.iter().map(|row| {
        let SqlSessionView {
            subject,
            state,
            since,
            counts,
        } = row;
        [
            subject.session.to_string(),
            subject.person.to_string(),
            subject.database_name.clone(),
            subject.door.to_string(),
            or_dash(subject.remote.as_ref()),
            moment(subject.started),
            counts.statements.to_string(),
            format!("{state} since {}", moment(*since)),
        ]
    });
    let columns = [
        "SESSION",
        "PERSON",
        "DATABASE",
        "DOOR",
        "FROM",
        "STARTED",
        "STATEMENTS",
        "STATE",
    ];
    page.table(columns, rows.collect(), "Nobody runs SQL statements.");
    for silent in &view.silent {
        page.line(format!("{silent} did not answer."));
    }
}

fn ended_table(page: &mut Page, records: &SqlSessionRecordsPage) {
    let rows = records.items.iter().map(|record| {
        let SqlSessionRecord {
            subject,
            counts,
            ended,
            end,
        } = record;
        [
            subject.session.to_string(),
            subject.person.to_string(),
            subject.database_name.clone(),
            subject.door.to_string(),
            or_dash(subject.remote.as_ref()),
            moment(*ended),
            counts.statements.to_string(),
            how(end),
        ]
    });
    let columns = [
        "SESSION",
        "PERSON",
        "DATABASE",
        "DOOR",
        "FROM",
        "ENDED",
        "STATEMENTS",
        "HOW",
    ];
    page.table(columns, rows.collect(), "None.");
    if let Some(next) = &records.next {
        page.line(format!("More: --after {next}"));
    }
}

fn how(end: &SqlSessionEnd) -> String {
    match &end.reason {
        Some(reason) => format!("{:?} ({reason})", end.state),
        None => format!("{:?}", end.state),
    }
}

/// Shows one.
pub(crate) fn details(page: &mut Page, shown: &SqlSessionShown) {
    let (subject, counts): (&SqlSessionSubject, &SqlSessionCounts) = match shown {
        SqlSessionShown::Running(view) => (&view.subject, &view.counts),
        SqlSessionShown::Ended(record) => (&record.subject, &record.counts),
    };
    page.field("session", subject.session.to_string());
    page.field("person", subject.person.to_string());
    page.field("element", subject.element.to_string());
    page.field("database", &subject.database_name);
    page.field("door", subject.door.to_string());
    page.field("from", or_dash(subject.remote.as_ref()));
    page.field("application", or_dash(subject.application.as_ref()));
    page.field("started", moment(subject.started));
    match shown {
        SqlSessionShown::Running(view) => {
            page.field("state", &view.state);
            page.field("since", moment(view.since));
        }
        SqlSessionShown::Ended(record) => {
            page.field("ended", moment(record.ended));
            page.field("state", how(&record.end));
        }
    }
    page.field("statements", counts.statements.to_string());
    page.field("failed", counts.failed.to_string());
    page.field("rows", counts.rows.to_string());
}
