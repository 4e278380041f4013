//! What a core on a server has of a mirror: none before somebody wants a shadow, one that
//! is being made, or one that is kept. What the copy knows of itself is in the same file.

use std::{
    future::Future,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use gridmart_schemas::data::{Epoch, Filter, LogPoint, Position};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{oneshot, watch};

use super::{Log, Source};
use crate::data::{
    check::{Sums, sum},
    engine::{EngineError, notes::Notes, sqlite::state_of},
    log::{LogBounds, Pulled, State, Whole, history::History, pull, whole_of},
    partial,
};

/// Of a write that shadows may not be told of yet: no shadow is as far, so that who has
/// written reads from the core.
pub(in super::super) const BEYOND_ALL: Position = Position::new(i64::MAX);

/// See the module.
pub(in super::super) struct Seat<S: Source> {
    pub(super) notes: Notes,
    pub(in super::super) source: Arc<S>,
    bounds: LogBounds,
    /// As it was opened, or of a shadow's rows as they are; where there is a log, that tells.
    last: watch::Sender<LogPoint>,
    /// What shadows follow.
    log: RwLock<Option<Arc<Log<S>>>>,
    /// One begins it at a time.
    beginning: tokio::sync::Mutex<()>,
    /// The mirror is being made: it may lack what is committed meanwhile.
    is_beginning: AtomicBool,
    /// A newer core that has taken over.
    fenced: Mutex<Option<Epoch>>,
}

impl<S: Source> Seat<S> {
    /// Of the copy that is noted there.
    pub(in super::super) fn open(
        notes: &Path,
        bounds: LogBounds,
        source: S,
    ) -> Result<Self, EngineError> {
        let seat = Self::new(notes, bounds, source)?;
        seat.log_open()?;
        Ok(seat)
    }

    /// Of the rows of a shadow, whose file that is: they are at that position, and have no
    /// mirror.
    pub(in super::super) fn open_shadow(
        file: &Path,
        last: LogPoint,
        source: S,
    ) -> Result<Self, EngineError> {
        let seat = Self::new(file, LogBounds::default(), source)?;
        seat.moved(last);
        Ok(seat)
    }

    fn new(notes: &Path, bounds: LogBounds, source: S) -> Result<Self, EngineError> {
        let notes = Notes::of(notes);
        let state = notes.state()?;
        Ok(Self {
            notes,
            source: Arc::new(source),
            bounds,
            last: watch::Sender::new(state.last),
            log: RwLock::default(),
            beginning: tokio::sync::Mutex::default(),
            is_beginning: AtomicBool::new(false),
            fenced: Mutex::new(state.fenced),
        })
    }

    /// The rows of a shadow have come to a position.
    pub(in super::super) fn moved(&self, last: LogPoint) {
        self.last.send_replace(last);
    }

    /// Opens the log, if the copy has one.
    fn log_open(&self) -> Result<(), EngineError> {
        let path = self.notes.path();
        *self.log.write() = Log::open(&path, self.bounds, &self.source)?;
        Ok(())
    }

    fn log(&self) -> Option<Arc<Log<S>>> {
        self.log.read().clone()
    }

    fn log_of_use(&self) -> Option<Arc<Log<S>>> {
        self.log().filter(|log| log.broken().is_none())
    }

    /// Whether shadows have to be told of changes of the schema.
    pub(in super::super) fn has_log(&self) -> bool {
        self.log.read().is_some()
    }

    /// The last entry of the log.
    pub(in super::super) fn last(&self) -> LogPoint {
        self.log()
            .map_or_else(|| *self.last.borrow(), |log| log.last())
    }

    pub(in super::super) fn position(&self) -> Position {
        self.last().position
    }

    pub(in super::super) fn state(&self) -> Result<State, EngineError> {
        self.notes.state()
    }

    pub(in super::super) fn history(&self) -> Result<History, EngineError> {
        self.notes.history()
    }

    /// Has a log begin where there is none, and makes it anew where it is of no use. What
    /// the making gives is held until the log is open.
    pub(in super::super) async fn begin<T>(
        &self,
        make: impl AsyncFnOnce(State) -> Result<T, EngineError>,
    ) -> Result<(), EngineError> {
        let _one_at_a_time = self.beginning.lock().await;
        if let Some(log) = self.log_of_use()
            && has_words(&log).await?
        {
            return Ok(());
        }
        let old = self.notes.state()?;
        self.is_beginning.store(true, Ordering::Release);
        if let Some(log) = self.log.write().take() {
            log.close();
        }
        // Until the log is open, nobody would tell it of a change of the schema.
        let held = make(old).await;
        // Where it could not be made, that of before is of no use still.
        let opened = self.log_open();
        self.is_beginning.store(false, Ordering::Release);
        drop(held?);
        opened?;
        if self.has_log() {
            return Ok(());
        }
        Err(EngineError::Stopping)
    }

    /// Waits until who follows can be told of what was committed up to a place, if that is
    /// known; gives its position.
    pub(in super::super) async fn committed(
        &self,
        place: impl AsyncFnOnce() -> Option<S::Place>,
    ) -> Position {
        let Some(log) = self.log() else {
            let is_beginning = self.is_beginning.load(Ordering::Acquire);
            return if is_beginning {
                BEYOND_ALL
            } else {
                self.position()
            };
        };
        match place().await {
            Some(place) => log.reach(&place).await,
            // It is committed all the same.
            None => BEYOND_ALL,
        }
    }

    /// Waits until the log has what was committed up to a place; where it has not in time,
    /// what this core has had cannot be known.
    pub(in super::super) async fn settled(
        &self,
        place: impl AsyncFnOnce() -> Option<S::Place>,
    ) -> Result<(), EngineError> {
        if self.has_log() && self.committed(place).await == BEYOND_ALL {
            return Err(EngineError::Unreachable {
                why: "it has not told all that it has committed yet".to_owned(),
            });
        }
        Ok(())
    }

    /// Who has come as far as this has the schema as it is at a place.
    pub(in super::super) async fn schema_position(
        &self,
        place: impl AsyncFnOnce() -> Option<S::Place>,
    ) -> Result<Position, EngineError> {
        if self.log_of_use().is_some() {
            return Ok(self.committed(place).await);
        }
        // The mirror that is made, or will be, has it, and begins there.
        Ok(self.notes.state()?.last.position.next())
    }

    /// Answers a shadow that tells what it has.
    pub(in super::super) async fn pull(
        &self,
        shadow: History,
        bytes_max: u64,
    ) -> Result<Pulled, EngineError> {
        let Some(log) = self.log_of_use() else {
            // It begins with the snapshot that is asked for then.
            let first = self.position().next();
            return Ok(Pulled::SnapshotNeeded { first });
        };
        let pulled =
            move |view: &rusqlite::Connection| pull(view, &state_of(view)?, &shadow, bytes_max);
        log.readers.view(pulled).await
    }

    /// Answers a partial shadow: with what its filter shows of the entries.
    pub(in super::super) async fn pull_part(
        &self,
        shadow: History,
        filter: Arc<Filter>,
        bytes_max: u64,
    ) -> Result<Pulled, EngineError> {
        let Some(log) = self.log_of_use() else {
            let first = self.position().next();
            return Ok(Pulled::SnapshotNeeded { first });
        };
        let pulled = move |view: &rusqlite::Connection| {
            partial::pull_part(view, &shadow, &filter, bytes_max)
        };
        log.readers.view(pulled).await
    }

    /// Sums what the mirror has, or what a filter shows of it.
    pub(in super::super) async fn sums(
        &self,
        range_rows: u64,
        filter: Option<Arc<Filter>>,
        begun: Option<oneshot::Sender<Position>>,
    ) -> Result<Sums, EngineError> {
        let log = self.log().ok_or_else(|| EngineError::Unreachable {
            why: "its log has not begun yet".to_owned(),
        })?;
        let sums = move |view: &rusqlite::Connection| {
            if let Some(begun) = begun {
                // Who left does not want the sums either.
                let position = state_of(view)?.last.position;
                begun.send(position).map_err(|_| EngineError::Cancelled)?;
            }
            match filter {
                Some(filter) => partial::sum(view, &filter, range_rows),
                None => sum(view, range_rows),
            }
        };
        log.readers.view(sums).await
    }

    pub(in super::super) fn watch(&self) -> watch::Receiver<LogPoint> {
        let log = self.log();
        log.map_or_else(|| self.last.subscribe(), |log| log.watch())
    }

    /// A newer core has taken over: nothing more is committed, and once what is being
    /// committed is over, the copy notes it.
    pub(in super::super) async fn fence(
        &self,
        newest: Epoch,
        committing: impl Future<Output = ()> + Send,
    ) -> Result<(), EngineError> {
        *self.fenced.lock() = Some(newest);
        committing.await;
        match self.log() {
            Some(log) => log.fence(newest),
            None => self.notes.fence(newest),
        }
    }

    pub(in super::super) fn require_unfenced(&self) -> Result<(), EngineError> {
        match *self.fenced.lock() {
            None => Ok(()),
            Some(newest) => Err(EngineError::Fenced { newest }),
        }
    }

    /// The schema as a server tells it whole, after a change that the mirror has.
    pub(in super::super) fn keep_whole(&self, whole: &Whole) -> Result<(), EngineError> {
        match self.log() {
            Some(log) => log.keep_whole(whole),
            None => Ok(()),
        }
    }

    pub(in super::super) fn confirm(&self, position: Position) {
        if let Some(log) = self.log() {
            log.confirm(position);
        }
    }

    /// Nothing is applied any more.
    pub(in super::super) fn retire(&self) {
        if let Some(log) = self.log.write().take() {
            log.close();
        }
    }
}

/// Whether a log tells what shadows on servers have to know: one that an older version has
/// begun does not.
async fn has_words<S: Source>(log: &Log<S>) -> Result<bool, EngineError> {
    let whole = log.readers.view(|view| whole_of(view, &S::ENGINE)).await?;
    Ok(whole.is_some())
}
