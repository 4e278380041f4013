//! Rows on their way from a thread, or a task, that reads to a task that takes them, bounded
//! in rows and bytes.

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use gridmart_schemas::data::{Position, Row};
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::EngineError;

/// Bytes of rows that wait to be taken; one row may be more.
const WAITING_BYTES_MAX: usize = 256 * 1024;
/// Rows that are handed over at once, so that the two sides seldom meet.
const BATCH_ROWS: usize = 256;
/// Bytes of rows that are handed over at once; one row may be more.
const BATCH_BYTES: usize = 64 * 1024;
/// How often a thread that waits for room looks whether it was cancelled.
const CANCEL_LOOK: Duration = Duration::from_millis(50);

/// Ends a statement at the engine, from anywhere.
#[derive(Clone, Debug, Default)]
pub struct Cancel(CancellationToken);

impl Cancel {
    /// Ends it. It may be over already.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether it is to end.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it is to end.
    pub async fn cancelled(&self) {
        self.0.cancelled().await;
    }
}

/// Rows of a result, in their order. Dropping it ends the statement.
#[derive(Debug)]
pub struct RowStream {
    columns: Vec<String>,
    position: Position,
    queue: Arc<Queue>,
    /// What fills it, unless that goes on by itself.
    work: Option<Work>,
}

/// What fills a stream while its rows are asked for: dropping it ends the statement.
struct Work(BoxFuture<'static, ()>);

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Work")
    }
}

/// The other end, for the thread or the task that reads.
#[derive(Debug)]
pub(super) struct RowSink {
    queue: Arc<Queue>,
    stop: Cancel,
    batch: Vec<Row>,
    batch_bytes: usize,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    has_room: Condvar,
    /// The same, for tasks.
    room: Notify,
    has_rows: Notify,
    cancel: Cancel,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<(Vec<Row>, usize)>,
    bytes: usize,
    end: Option<Result<(), EngineError>>,
}

/// Who gave the rows their way, before there is a stream: what a read needs to
/// know to begin.
#[derive(Debug, Default)]
pub(super) struct Channel {
    queue: Arc<Queue>,
    /// Ends the stream with the database.
    stop: Cancel,
}

impl Channel {
    pub(super) fn until(stop: Cancel) -> Self {
        Self {
            stop,
            ..Self::default()
        }
    }

    pub(super) fn cancel(&self) -> Cancel {
        self.queue.cancel.clone()
    }

    pub(super) fn sink(&self) -> RowSink {
        RowSink {
            queue: Arc::clone(&self.queue),
            stop: self.stop.clone(),
            batch: Vec::new(),
            batch_bytes: 0,
        }
    }

    /// The stream; `work` fills it, if nothing else does.
    pub(super) fn into_stream(
        self,
        columns: Vec<String>,
        position: Position,
        work: Option<BoxFuture<'static, ()>>,
    ) -> RowStream {
        RowStream {
            columns,
            position,
            queue: self.queue,
            work: work.map(Work),
        }
    }
}

impl RowSink {
    /// Hands over a row; waits until there is room, or the deadline.
    pub(super) fn send(
        &mut self,
        row: Row,
        bytes: usize,
        deadline: Instant,
    ) -> Result<(), SendError> {
        self.batch.push(row);
        self.batch_bytes += bytes;
        if self.batch.len() >= BATCH_ROWS || self.batch_bytes >= BATCH_BYTES {
            return self.flush(deadline);
        }
        Ok(())
    }

    /// Hands over a row as [`Self::send`] does, in a task.
    pub(super) async fn offer(
        &mut self,
        row: Row,
        bytes: usize,
        deadline: Instant,
    ) -> Result<(), SendError> {
        self.batch.push(row);
        self.batch_bytes += bytes;
        if self.batch.len() >= BATCH_ROWS || self.batch_bytes >= BATCH_BYTES {
            return self.flush_within(deadline).await;
        }
        Ok(())
    }

    /// Ends the stream as [`Self::end`] does, in a task.
    pub(super) async fn close(mut self, result: Result<(), EngineError>, deadline: Instant) {
        let flushed = match result {
            Err(_) => Ok(()),
            Ok(()) => self.flush_within(deadline).await,
        };
        self.finish(result, flushed);
    }

    async fn flush_within(&mut self, deadline: Instant) -> Result<(), SendError> {
        loop {
            if self.push()? {
                return Ok(());
            }
            // Room that was made meanwhile has left its word.
            let room = self.queue.room.notified();
            let waited = tokio::time::timeout_at(deadline.into(), room).await;
            waited.map_err(|_| SendError::TooLate)?;
        }
    }

    /// Hands over the batch if there is room for it.
    fn push(&mut self) -> Result<bool, SendError> {
        let mut state = self.queue.state.lock();
        if state.bytes >= WAITING_BYTES_MAX {
            if self.queue.cancel.is_cancelled() {
                return Err(SendError::Cancelled);
            }
            return Ok(false);
        }
        let bytes = std::mem::take(&mut self.batch_bytes);
        let batch = std::mem::take(&mut self.batch);
        state.batches.push_back((batch, bytes));
        state.bytes += bytes;
        drop(state);
        self.queue.has_rows.notify_one();
        Ok(true)
    }

    /// Ends the stream; what was handed over can still be taken.
    pub(super) fn end(mut self, result: Result<(), EngineError>, deadline: Instant) {
        let flushed = match result {
            // Rows before an error are of no use.
            Err(_) => Ok(()),
            Ok(()) => self.flush(deadline),
        };
        self.finish(result, flushed);
    }

    fn finish(&self, result: Result<(), EngineError>, flushed: Result<(), SendError>) {
        let end = match flushed {
            Err(error @ (SendError::TooLate | SendError::Stopping)) => Err(error.into()),
            Ok(()) | Err(SendError::Cancelled) => result,
        };
        self.queue.state.lock().end = Some(end);
        self.queue.has_rows.notify_one();
    }

    fn flush(&mut self, deadline: Instant) -> Result<(), SendError> {
        let mut state = self.queue.state.lock();
        while state.bytes >= WAITING_BYTES_MAX {
            if self.queue.cancel.is_cancelled() {
                return Err(SendError::Cancelled);
            }
            if self.stop.is_cancelled() {
                return Err(SendError::Stopping);
            }
            if Instant::now() >= deadline {
                return Err(SendError::TooLate);
            }
            let look = deadline.min(Instant::now() + CANCEL_LOOK);
            self.queue.has_room.wait_until(&mut state, look);
        }
        let bytes = std::mem::take(&mut self.batch_bytes);
        state
            .batches
            .push_back((std::mem::take(&mut self.batch), bytes));
        state.bytes += bytes;
        drop(state);
        self.queue.has_rows.notify_one();
        Ok(())
    }
}

/// Why a row could not be handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// Nobody wants it.
    Cancelled,
    /// Nobody took the rows before it in time.
    TooLate,
    /// The database goes down.
    Stopping,
}

impl From<SendError> for EngineError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Cancelled => Self::Cancelled,
            SendError::Stopping => Self::Stopping,
            SendError::TooLate => Self::TransactionEnded {
                why: "its rows were not taken within the statement's time".to_owned(),
            },
        }
    }
}

impl RowStream {
    /// Names of the columns, where the engine tells them.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The position of the log that the rows are of.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// What ends the statement.
    pub fn cancel(&self) -> Cancel {
        self.queue.cancel.clone()
    }

    /// The next rows, at least one; `None` after the last.
    pub async fn next(&mut self) -> Option<Result<Vec<Row>, EngineError>> {
        loop {
            let arrived = self.queue.has_rows.notified();
            if let Some(next) = self.take() {
                return next;
            }
            let Some(Work(work)) = &mut self.work else {
                arrived.await;
                continue;
            };
            tokio::select! {
                biased;
                () = work => self.work = None,
                () = arrived => {}
            }
        }
    }

    /// All rows; for results that are known to be small.
    pub async fn collect(mut self) -> Result<Vec<Row>, EngineError> {
        let mut rows = Vec::new();
        while let Some(batch) = self.next().await {
            rows.extend(batch?);
        }
        Ok(rows)
    }

    #[expect(
        clippy::option_option,
        reason = "nothing yet, and the end, are different"
    )]
    fn take(&self) -> Option<Option<Result<Vec<Row>, EngineError>>> {
        let mut state = self.queue.state.lock();
        // An error comes before rows that nobody can use.
        if let Some(Err(error)) = &state.end {
            let error = error.clone();
            state.batches.clear();
            state.end = Some(Ok(()));
            return Some(Some(Err(error)));
        }
        if let Some((batch, bytes)) = state.batches.pop_front() {
            state.bytes -= bytes;
            self.queue.has_room.notify_one();
            self.queue.room.notify_one();
            if batch.is_empty() {
                drop(state);
                return self.take();
            }
            return Some(Some(Ok(batch)));
        }
        state.end.is_some().then_some(None)
    }
}

impl Drop for RowStream {
    fn drop(&mut self) {
        self.queue.cancel.cancel();
        self.queue.has_room.notify_one();
        self.queue.room.notify_one();
    }
}
