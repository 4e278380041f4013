//! Threads that read beside the writer, each with a connection of its own.

use std::{collections::VecDeque, path::Path, sync::Arc, thread::JoinHandle};

use gridmart_schemas::data::Position;
use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use super::{
    failure::Failure as _,
    guard::Guard,
    open::{Purpose, open},
    run::{Allowance, names, next_row, prepare, types_of},
};
use crate::data::{
    engine::{
        Cancel, EngineError, Limits, RowStream, Statement, StatementKind,
        stream::{Channel, RowSink},
    },
    log::state,
};

/// Reads that may wait for a thread.
const WAITING_MAX: usize = 1024;

/// What a thread does: with its connection, in one view of the database.
pub(super) type Task = Box<dyn FnOnce(Result<&mut Reader, EngineError>) + Send>;

/// A bounded number of threads; dropping the last handle ends them.
pub(in crate::data) struct Readers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Places for transactions that only read: each keeps a thread to itself.
    views: Arc<Semaphore>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    stop: Cancel,
}

#[derive(Default)]
struct State {
    tasks: VecDeque<Task>,
    is_stopping: bool,
}

/// A connection that reads.
pub(super) struct Reader {
    pub(super) connection: Connection,
    pub(super) guard: Arc<Guard>,
}

impl Readers {
    /// Starts so many threads; connections are opened when they are needed.
    pub(in crate::data) fn start(path: &Path, threads: usize) -> Result<Self, EngineError> {
        let shared = Arc::new(Shared::default());
        // Half of the threads are left to single reads.
        let views = Arc::new(Semaphore::new((threads / 2).max(1)));
        let threads = (0..threads.max(2))
            .map(|_| {
                let (shared, path) = (Arc::clone(&shared), path.to_owned());
                std::thread::Builder::new()
                    .name("data-reader".to_owned())
                    .spawn(move || serve(&shared, &path))
                    .map_err(|error| EngineError::Internal(error.to_string()))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            shared,
            threads,
            views,
        })
    }

    pub(super) const fn views(&self) -> &Arc<Semaphore> {
        &self.views
    }

    /// Ends whatever runs, once the database goes down.
    pub(super) fn stop(&self) -> Cancel {
        self.shared.stop.clone()
    }

    /// Runs a statement that reads.
    pub(in crate::data) async fn read(
        &self,
        statement: Statement,
        limits: Limits,
    ) -> Result<RowStream, EngineError> {
        let channel = Channel::until(self.shared.stop.clone());
        let (sink, cancel) = (channel.sink(), channel.cancel());
        let (begun, beginning) = oneshot::channel();
        // The time runs while it waits.
        let allowance = Allowance::new(limits, cancel.clone());
        // Whoever leaves before the first row has cancelled it.
        let left = CancelOnDrop(Some(cancel));
        self.submit(Box::new(move |reader| match reader {
            Ok(reader) => reader.stream(&statement, allowance, sink, begun),
            Err(error) => drop(begun.send(Err(error))),
        }))?;
        let (columns, position) = beginning.await.map_err(|_| EngineError::Stopping)??;
        left.disarm();
        Ok(channel.into_stream(columns, position, None))
    }

    /// Reads what the engine itself wants to know, in one view of the database.
    pub(in crate::data) async fn view<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let (answer, answered) = oneshot::channel();
        self.submit(Box::new(move |reader| {
            let seen = reader.and_then(|reader| {
                let view = reader.connection.transaction().during("beginning a view")?;
                let seen = look(&view)?;
                view.finish().during("ending a view")?;
                Ok(seen)
            });
            let _ = answer.send(seen);
        }))?;
        answered.await.map_err(|_| EngineError::Stopping)?
    }

    pub(super) fn submit(&self, task: Task) -> Result<(), EngineError> {
        let mut state = self.shared.state.lock();
        if state.is_stopping {
            return Err(EngineError::Stopping);
        }
        if state.tasks.len() >= WAITING_MAX {
            return Err(EngineError::Busy);
        }
        state.tasks.push_back(task);
        drop(state);
        self.shared.changed.notify_one();
        Ok(())
    }
}

struct CancelOnDrop(Option<Cancel>);

impl CancelOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(cancel) = self.0.take() {
            cancel.cancel();
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.is_stopping = true;
        state.tasks.clear();
        drop(state);
        self.shared.stop.cancel();
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a reader of a database has panicked");
            }
        }
    }
}

fn serve(shared: &Shared, path: &Path) {
    let mut kept: Option<Reader> = None;
    while let Some(task) = next(shared) {
        if kept.is_none() {
            match Reader::open(path, &shared.stop) {
                Ok(reader) => kept = Some(reader),
                Err(error) => {
                    task(Err(error));
                    continue;
                }
            }
        }
        if let Some(reader) = &mut kept {
            task(Ok(reader));
            // A view that could not be ended must not be the next one's.
            if !reader.connection.is_autocommit() {
                kept = None;
            }
        }
    }
}

fn next(shared: &Shared) -> Option<Task> {
    let mut state = shared.state.lock();
    loop {
        if state.is_stopping {
            return None;
        }
        if let Some(task) = state.tasks.pop_front() {
            return Some(task);
        }
        shared.changed.wait(&mut state);
    }
}

type Begun = oneshot::Sender<Result<(Vec<String>, Position), EngineError>>;

impl Reader {
    fn open(path: &Path, stop: &Cancel) -> Result<Self, EngineError> {
        let guard = Arc::new(Guard::until(stop.clone()));
        let connection = open(path, Purpose::Reader, &guard)?;
        Ok(Self { connection, guard })
    }

    fn stream(&mut self, statement: &Statement, allowance: Allowance, sink: RowSink, begun: Begun) {
        if allowance.bound.cancel.is_cancelled() {
            return;
        }
        let guard = Arc::clone(&self.guard);
        let view = match self.connection.transaction().during("beginning a view") {
            Ok(view) => view,
            Err(error) => return drop(begun.send(Err(error))),
        };
        let streamed = stream(&view, &guard, statement, allowance, sink, begun);
        if let Err(error) = streamed.and_then(|()| view.finish().during("ending a view")) {
            tracing::warn!(%error, "a read was not ended well");
        }
    }
}

/// Tells of the begin, or why there is none; then rows, and the end.
fn stream(
    view: &Connection,
    guard: &Guard,
    statement: &Statement,
    mut allowance: Allowance,
    mut sink: RowSink,
    begun: Begun,
) -> Result<(), EngineError> {
    // What the statement sees is decided by the first look at the database.
    let position = state(view)?.map_or(Position::ZERO, |state| state.last.position);
    let guarded = guard.permit(StatementKind::Read, allowance.bound.clone());
    let start = prepare(view, statement).and_then(|prepared| {
        let columns = names(&prepared);
        types_of(statement, columns.len())?;
        Ok((prepared, columns))
    });
    let (mut prepared, columns) = match start {
        Ok(start) => start,
        Err(error) => {
            let _ = begun.send(Err(allowance.explain(error)));
            return Ok(());
        }
    };
    if begun.send(Ok((columns, position))).is_err() {
        return Ok(());
    }
    let types = statement.columns.as_deref();
    let deadline = allowance.bound.deadline;
    let mut send_all = || -> Result<(), EngineError> {
        let mut rows = prepared.raw_query();
        while let Some(row) = next_row(&mut rows, types)? {
            let bytes = allowance.count(&row)?;
            sink.send(row, bytes, deadline)?;
        }
        Ok(())
    };
    let sent = send_all();
    let result = sent.map_err(|error| allowance.explain(error));
    drop(guarded);
    sink.end(result, deadline);
    Ok(())
}
