//! Runs a statement on a connection: prepares, binds, reads.

use std::{
    fmt::Write as _,
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::{TryStreamExt as _, future::join};
use gridmart_schemas::data::{Row, SqlType};
use tokio::time::{timeout, timeout_at};
use tokio_postgres::{Error, RowStream, Statement as Prepared, types::Type};

use super::{
    access::Canceller,
    connection::Connection,
    failure::{When, failure},
    quoted_name, quoted_text,
    value::{Parameter, Raw, read, require_fitting},
};
use crate::data::engine::{Cancel, EngineError, SqlState, Statement, Tally, Written};

/// A statement that was told to end may take so long to do so.
const END_MAX: Duration = Duration::from_secs(10);
/// No parameters.
const UNBOUND: [(Parameter<'_>, Type); 0] = [];
/// Between two times that the server is told.
const CANCEL_PAUSE: Duration = Duration::from_millis(200);

/// What stands before a statement: the settings of whom it is for, and the role that it
/// runs as. They end with the transaction.
pub(super) fn settings(statement: &Statement, role: Option<&str>, text: &mut String) {
    settings_of(statement, true, text);
    if let Some(role) = role {
        let _ = write!(text, "SET LOCAL ROLE {}; ", quoted_name(role));
    }
}

/// The same for a connection, until it is for somebody else.
pub(super) fn standing(statement: &Statement, role: Option<&str>) -> String {
    let mut text = String::new();
    settings_of(statement, false, &mut text);
    if let Some(role) = role {
        let _ = write!(text, "SET ROLE {}; ", quoted_name(role));
    }
    text
}

fn settings_of(statement: &Statement, is_local: bool, text: &mut String) {
    for (index, (name, value)) in statement.rules.settings.iter().enumerate() {
        let begin = if index == 0 { "SELECT " } else { ", " };
        let (name, value) = (quoted_text(name), quoted_text(value));
        let _ = write!(
            text,
            "{begin}pg_catalog.set_config({name}, {value}, {is_local})"
        );
    }
    if !statement.rules.settings.is_empty() {
        text.push_str("; ");
    }
}

/// Begins a statement; `before` is run first, and if it fails, nothing of it holds. `when`:
/// what it is if the server is lost once it has the statement. A text that is new here and
/// takes no values is sent at once, and prepared when it comes again.
pub(super) async fn begin(
    connection: &mut Connection,
    statement: &Statement,
    before: &str,
    when: When,
) -> Result<(Option<Prepared>, RowStream), EngineError> {
    let is_guarded = !statement.rules.guards.is_empty();
    require_fitting(&statement.parameters)?;
    let failed = |error: &Error| failure(error, When::Undone, is_guarded);
    let prepared = if statement.parameters.is_empty() && connection.is_new(&statement.text) {
        None
    } else {
        let prepared = connection.prepare(&statement.text).await;
        let prepared = prepared.map_err(|error| failed(&error))?;
        require_shape(statement, &prepared)?;
        Some(prepared)
    };
    let query = async {
        let client = &connection.client;
        match &prepared {
            Some(prepared) => {
                let parameters = statement.parameters.iter().map(Parameter);
                client.query_raw(prepared, parameters).await
            }
            None => client.query_typed_raw(&statement.text, UNBOUND).await,
        }
    };
    let rows = if before.is_empty() {
        query.await
    } else {
        // Both go out before the answer to the first one comes.
        let (before, rows) = join(connection.client.batch_execute(before), query).await;
        before.map_err(|error| failed(&error))?;
        rows
    };
    let rows = rows.map_err(|error| failure(&error, when, is_guarded))?;
    Ok((prepared, rows))
}

fn require_shape(statement: &Statement, prepared: &Prepared) -> Result<(), EngineError> {
    if prepared.params().len() != statement.parameters.len() {
        let message = format!(
            "the statement has {} parameters, and {} values came for them",
            prepared.params().len(),
            statement.parameters.len()
        );
        return Err(EngineError::refused(SqlState::PARAMETERS, message));
    }
    let types = statement.columns.as_deref();
    require_columns(prepared.columns().len(), types)
}

fn require_columns(columns: usize, types: Option<&[SqlType]>) -> Result<(), EngineError> {
    match types {
        Some(types) if types.len() != columns => Err(EngineError::Internal(format!(
            "the result has {columns} columns, and {} types came for them",
            types.len()
        ))),
        _ => Ok(()),
    }
}

/// Names of the columns of a result.
pub(super) fn names(prepared: &Prepared) -> Vec<String> {
    let columns = prepared.columns().iter();
    columns.map(|column| column.name().to_owned()).collect()
}

/// A row with its values.
pub(super) fn row(
    row: &tokio_postgres::Row,
    types: Option<&[SqlType]>,
) -> Result<Row, EngineError> {
    let columns = row.columns();
    require_columns(columns.len(), types)?;
    let values = columns.iter().enumerate().map(|(index, column)| {
        let raw: Option<Raw<'_>> = row
            .try_get(index)
            .map_err(|error| EngineError::Internal(error.to_string()))?;
        let wanted = types.and_then(|types| types.get(index)).copied();
        read(raw.as_ref(), column.type_(), wanted)
    });
    values.collect()
}

/// Runs a statement to its end, in the transaction that is open or as one of its own.
pub(super) async fn run(
    connection: &mut Connection,
    statement: &Statement,
    before: &str,
    tally: &mut Tally,
    when: When,
) -> Result<Written, EngineError> {
    let is_guarded = !statement.rules.guards.is_empty();
    let (prepared, rows) = begin(connection, statement, before, when).await?;
    let mut rows = pin!(rows);
    let mut written = Written {
        columns: prepared.as_ref().map(names).unwrap_or_default(),
        ..Written::default()
    };
    let types = statement.columns.as_deref();
    loop {
        let next = rows.try_next().await;
        let Some(next) = next.map_err(|error| failure(&error, when, is_guarded))? else {
            break;
        };
        let values = row(&next, types)?;
        tally.count(&values)?;
        written.rows.push(values);
    }
    written.rows_changed = rows.rows_affected().unwrap_or_default();
    Ok(written)
}

/// Does something within a time, and until it is given up; then the server is told to end
/// it, and what became of it is told.
pub(super) async fn bounded<T>(
    canceller: Option<Canceller>,
    (deadline, time): (Instant, Duration),
    given_up: &Cancel,
    work: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    let mut work = pin!(work);
    let explain = |error| match error {
        EngineError::TimedOut(Duration::ZERO) if given_up.is_cancelled() => EngineError::Cancelled,
        EngineError::TimedOut(Duration::ZERO) => EngineError::TimedOut(time),
        other => other,
    };
    tokio::select! {
        done = timeout_at(deadline.into(), &mut work) => if let Ok(done) = done {
            return done.map_err(explain);
        },
        () = given_up.cancelled() => {}
    }
    let ends = Instant::now() + END_MAX;
    while Instant::now() < ends {
        if let Some(canceller) = &canceller {
            // One that is on its way must not meet what comes after this.
            canceller.cancel().await;
        }
        // What comes between two statements finds nothing that it could end: it is told
        // again.
        if let Ok(done) = timeout(CANCEL_PAUSE, &mut work).await {
            return done.map_err(explain);
        }
    }
    Err(EngineError::Uncertain {
        why: "it does not end what it was told to end".to_owned(),
    })
}
