//! Statements that read: their rows go out as they are taken.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{TryStreamExt as _, future::BoxFuture};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    Base, STALE_TRIES,
    failure::{When, failure},
    is_stale,
    pool::Pooled,
    run::{begin, names, row, standing},
};
use crate::data::engine::{
    EngineError, Limits, RowStream, Statement, Tally,
    stream::{Channel, RowSink},
};

/// Tells the names of the columns, or why there are none.
type Begun = oneshot::Sender<Result<Vec<String>, EngineError>>;

/// Begins a statement, and takes its rows as they are asked for; dropping the stream, or
/// this before, ends it at the server.
pub(super) async fn read(
    base: &Arc<Base>,
    stop: &CancellationToken,
    statement: Statement,
    limits: Limits,
) -> Result<RowStream, EngineError> {
    let channel = Channel::default();
    let (mut sink, (begun, mut beginning)) = (channel.sink(), oneshot::channel());
    let (base, position) = (Arc::clone(base), base.position());
    let stop = stop.clone();
    let mut work: BoxFuture<'static, ()> = Box::pin(async move {
        let deadline = Instant::now() + limits.time;
        let mut begun = Some(begun);
        let streamed = stream(&base, &statement, limits, deadline, &mut sink, &mut begun);
        let late = tokio::time::timeout_at(deadline.into(), streamed);
        let result = match stop.run_until_cancelled(late).await {
            // The database is closed; a connection that is dropped ends what runs on it.
            None => Err(EngineError::Stopping),
            Some(Err(_) | Ok(Err(EngineError::TimedOut(Duration::ZERO)))) => {
                Err(EngineError::TimedOut(limits.time))
            }
            Some(Ok(result)) => result,
        };
        match (begun, result) {
            (Some(begun), Err(error)) => drop(begun.send(Err(error))),
            (_, result) => sink.close(result, deadline).await,
        }
    });
    let stopping = |_| EngineError::Stopping;
    let (columns, is_over) = tokio::select! {
        biased;
        () = &mut work => (beginning.await.map_err(stopping)??, true),
        columns = &mut beginning => (columns.map_err(stopping)??, false),
    };
    let work = (!is_over).then_some(work);
    Ok(channel.into_stream(columns, position, work))
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
        let standing = standing(statement, base.guards.role(&statement.rules));
        let mut pooled = base.readers.take_as(&standing).await?;
        let streamed = try_stream(&mut pooled, statement, limits, deadline, sink, begun);
        match streamed.await {
            Ok(()) => {
                pooled.keep();
                return Ok(());
            }
            Err(error) => {
                if matches!(error, EngineError::Refused { .. }) {
                    pooled.get()?.forget(&statement.text);
                    pooled.keep();
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
    pooled: &mut Pooled,
    statement: &Statement,
    limits: Limits,
    deadline: Instant,
    sink: &mut RowSink,
    begun: &mut Option<Begun>,
) -> Result<(), EngineError> {
    let is_guarded = !statement.rules.guards.is_empty();
    let failed = |error: tokio_postgres::Error| failure(&error, When::Undone, is_guarded);
    let connection = pooled.get()?;
    let (prepared, rows) = begin(connection, statement, "", When::Undone).await?;
    if let Some(begun) = begun.take() {
        let names = prepared.as_ref().map(names).unwrap_or_default();
        begun.send(Ok(names)).map_err(|_| EngineError::Cancelled)?;
    }
    let mut rows = pin!(rows);
    let mut tally = Tally::new(limits);
    let types = statement.columns.as_deref();
    while let Some(next) = rows.try_next().await.map_err(failed)? {
        let values = row(&next, types)?;
        let bytes = tally.count(&values)?;
        sink.offer(values, bytes, deadline).await?;
    }
    Ok(())
}
