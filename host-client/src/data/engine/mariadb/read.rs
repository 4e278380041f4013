//! Rows of a statement that reads, as the server finds them.

use std::time::{Duration, Instant};

use gridmart_schemas::data::{Position, SqlType, Value};
use mysql_async::{Params, prelude::Queryable as _};
use tokio::sync::oneshot;

use super::{
    failure::{Failure as _, Phase, warned},
    session::{Session, limits_kept},
    value,
};
use crate::data::engine::{
    EngineError, Limits, RowStream, Statement,
    stream::{Cancel, Channel, RowSink},
};

/// How often it is looked whether anybody still wants the rows.
const LOOK: Duration = Duration::from_millis(50);

type Begun = oneshot::Sender<Result<Vec<String>, EngineError>>;

struct Reading {
    text: String,
    params: Params,
    types: Vec<SqlType>,
    limits: Limits,
    until: Instant,
    cancel: Cancel,
}

/// Begins to read; a statement that fails before its first row fails here.
pub(super) async fn begin(
    session: Session,
    statement: Statement,
    limits: Limits,
    until: Instant,
    position: Position,
) -> Result<RowStream, EngineError> {
    let (text, params) = value::bound(&statement)?;
    let channel = Channel::default();
    let reading = Reading {
        text,
        params,
        types: statement.columns.unwrap_or_default(),
        limits,
        until,
        cancel: channel.cancel(),
    };
    let (begun, told) = oneshot::channel();
    let sink = channel.sink();
    let runtime = tokio::runtime::Handle::current();
    // Whoever hands rows over waits for room on a thread of its own.
    tokio::task::spawn_blocking(move || runtime.block_on(reading.serve(session, sink, begun)));
    let guard = channel.cancel();
    let columns = told.await.map_err(|_| EngineError::Stopping)??;
    drop(guard);
    Ok(channel.into_stream(columns, position, None))
}

impl Reading {
    async fn serve(self, mut session: Session, mut sink: RowSink, begun: Begun) {
        let mut begun = Some(begun);
        let read = self.rows(&mut session, &mut sink, &mut begun).await;
        let read = session.ended(read);
        match (begun, read) {
            (Some(begun), Err(error)) => {
                let _ = begun.send(Err(error));
            }
            (_, read) => sink.end(read, self.until),
        }
    }

    async fn rows(
        &self,
        session: &mut Session,
        sink: &mut RowSink,
        begun: &mut Option<Begun>,
    ) -> Result<(), EngineError> {
        // Until the end it is open what the server still does.
        session.spoil();
        let conn = session.connection()?;
        let started = self
            .wanted(conn.exec_iter(self.text.as_str(), self.params.clone()))
            .await?;
        let mut result = match started.during(Phase::Statement) {
            Ok(result) => result,
            Err(error) => {
                session.settle(&error);
                return Err(error);
            }
        };
        let names = result.columns_ref().iter();
        let names = names.map(|column| column.name_str().into_owned()).collect();
        if let Some(begun) = begun.take() {
            let _ = begun.send(Ok(names));
        }
        let (mut rows, mut bytes) = (0, 0_u64);
        while let Some(told) = self.wanted(result.next()).await?.during(Phase::Statement)? {
            let row = value::row(told, &self.types)?;
            let size: usize = row.iter().map(Value::bytes).sum();
            (rows, bytes) = (rows + 1, bytes.saturating_add(size as u64));
            limits_kept(self.limits, rows, bytes)?;
            sink.send(row, size, self.until)?;
        }
        drop(result);
        if conn.get_warnings() > 0 {
            let failed = warned(conn).await;
            session.settle(&failed);
            return Err(failed);
        }
        session.restore();
        Ok(())
    }

    /// Waits for the server as long as somebody wants its rows.
    async fn wanted<T>(&self, work: impl Future<Output = T>) -> Result<T, EngineError> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = tokio::time::sleep(LOOK) => {
                    if self.cancel.is_cancelled() {
                        return Err(EngineError::Cancelled);
                    }
                    if Instant::now() >= self.until {
                        return Err(EngineError::TimedOut(self.limits.time));
                    }
                }
            }
        }
    }
}

impl Session {
    /// The server is done with the statement: the connection is whole.
    fn settle(&mut self, error: &EngineError) {
        if matches!(error, EngineError::Refused { .. }) {
            self.restore();
        }
    }
}
