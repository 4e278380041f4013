//! Statements that read: their rows go out as they are taken.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    Base, STALE_TRIES,
    failure::{When, failure},
    is_stale,
    pool::Pooled,
    run::{begin, names, row, settings},
};
use crate::data::engine::{
    EngineError, Limits, RowStream, Statement, Tally,
    stream::{Channel, RowSink},
};

/// Tells the names of the columns, or why there are none.
type Begun = oneshot::Sender<Result<Vec<String>, EngineError>>;

/// Begins a statement; dropping the stream, or this before, ends it at the server.
pub(super) async fn read(
    base: &Arc<Base>,
    stop: &CancellationToken,
    statement: Statement,
    limits: Limits,
) -> Result<RowStream, EngineError> {
    let channel = Channel::default();
    let (sink, (begun, beginning)) = (channel.sink(), oneshot::channel());
    let left = stop.child_token();
    let guard = left.clone().drop_guard();
    let (base, position) = (Arc::clone(base), base.position());
    let stop = stop.clone();
    tokio::spawn(async move {
        let deadline = Instant::now() + limits.time;
        let mut sink = sink;
        let mut begun = Some(begun);
        let streamed = stream(&base, &statement, limits, deadline, &mut sink, &mut begun);
        let late = tokio::time::timeout_at(deadline.into(), streamed);
        let result = match left.run_until_cancelled(late).await {
            // Nobody wants it, or the database is closed; a connection that is dropped
            // ends what runs on it.
            None if stop.is_cancelled() => Err(EngineError::Stopping),
            None => Err(EngineError::Cancelled),
            Some(Err(_)) => Err(EngineError::TimedOut(limits.time)),
            Some(Ok(Err(EngineError::TimedOut(Duration::ZERO)))) => {
                Err(EngineError::TimedOut(limits.time))
            }
            Some(Ok(result)) => result,
        };
        match (begun, result) {
            (Some(begun), Err(error)) => drop(begun.send(Err(error))),
            (_, result) => sink.close(result, deadline).await,
        }
    });
    let columns = beginning.await.map_err(|_| EngineError::Stopping)??;
    Ok(channel.into_stream(columns, position, Some(guard)))
}

async fn stream(
    base: &Arc<Base>,
    statement: &Statement,
    limits: Limits,
    deadline: Instant,
    sink: &mut RowSink,
    begun: &mut Option<Begun>,
) -> Result<(), EngineError> {
    let mut tries = 0;
    loop {
        tries += 1;
        base.guards.ensure(&statement.rules, &base.makers).await?;
        let mut pooled = base.readers.take().await?;
        let streamed = try_stream(base, &mut pooled, statement, limits, deadline, sink, begun);
        match streamed.await {
            Ok(()) => {
                pooled.keep();
                return Ok(());
            }
            Err(error) => {
                if matches!(error, EngineError::Refused { .. }) {
                    let connection = pooled.get()?;
                    connection.forget(&statement.text);
                    let is_alone = statement.rules.is_empty();
                    if is_alone || connection.client.batch_execute("ROLLBACK").await.is_ok() {
                        pooled.keep();
                    }
                }
                let is_begun = begun.is_none();
                if tries >= STALE_TRIES || is_begun || !is_stale(&error, statement) {
                    return Err(error);
                }
                base.schema_changed();
            }
        }
    }
}

async fn try_stream(
    base: &Base,
    pooled: &mut Pooled,
    statement: &Statement,
    limits: Limits,
    deadline: Instant,
    sink: &mut RowSink,
    begun: &mut Option<Begun>,
) -> Result<(), EngineError> {
    let is_guarded = !statement.rules.guards.is_empty();
    let failed = |error: tokio_postgres::Error| failure(&error, When::Undone, is_guarded);
    let mut before = String::new();
    if !statement.rules.is_empty() {
        before.push_str("BEGIN; ");
        settings(statement, base.guards.role(&statement.rules), &mut before);
    }
    let connection = pooled.get()?;
    let (prepared, rows) = begin(connection, statement, &before, When::Undone).await?;
    if let Some(begun) = begun.take() {
        begun
            .send(Ok(names(&prepared)))
            .map_err(|_| EngineError::Cancelled)?;
    }
    let mut rows = pin!(rows);
    let mut tally = Tally::new(limits);
    let types = statement.columns.as_deref();
    while let Some(next) = rows.try_next().await.map_err(failed)? {
        let values = row(&next, prepared.columns(), types)?;
        let bytes = tally.count(&values)?;
        sink.offer(values, bytes, deadline).await?;
    }
    if !before.is_empty() {
        let client = &connection.client;
        client.batch_execute("COMMIT").await.map_err(failed)?;
    }
    Ok(())
}
