//! What a copy that is the core needs of its engine beside statements: what it knows of
//! itself, and its log, for shadows.

use std::sync::Arc;

use async_trait::async_trait;
use gridmart_schemas::data::{Epoch, Filter, LogPoint, Position};
use tokio::sync::{oneshot, watch};

use super::{Engine, EngineError};
use crate::data::{
    check::Sums,
    home::Home,
    log::{Pulled, State, history::History},
    snapshot::Snapshot,
};

/// A core, whatever keeps it.
#[async_trait]
pub trait CoreEngine: Engine {
    /// What it knows of itself.
    async fn state(&self) -> Result<State, EngineError>;

    /// What it tells of its log.
    async fn history(&self) -> Result<History, EngineError>;

    /// Answers a shadow that tells what it has.
    async fn pull(&self, shadow: History, bytes_max: u64) -> Result<Pulled, EngineError>;

    /// Answers a partial shadow: with what its filter shows of the entries.
    async fn pull_part(
        &self,
        shadow: History,
        filter: Arc<Filter>,
        bytes_max: u64,
    ) -> Result<Pulled, EngineError>;

    /// Bytes that may be logged until what a shadow that is away misses is dropped; none
    /// where there is no log.
    fn log_room(&self) -> Option<u64> {
        None
    }

    /// Tells of each commit.
    fn watch(&self) -> watch::Receiver<LogPoint>;

    /// Sums all tables, or what a filter shows of them, in ranges of so many rows, for a
    /// shadow to compare; tells their position before it begins, if somebody wants to know
    /// it.
    async fn sums(
        &self,
        range_rows: u64,
        filter: Option<Arc<Filter>>,
        begun: Option<oneshot::Sender<Position>>,
    ) -> Result<Sums, EngineError>;

    /// Whether shadows can follow it; else what has to be done for that.
    async fn require_log(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Waits until its log has all that was committed.
    async fn settled(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Makes a snapshot, for a shadow to begin with.
    async fn snapshot(&self, home: &Home) -> Result<Snapshot, EngineError>;

    /// The same of what a filter shows.
    async fn snapshot_part(
        &self,
        home: &Home,
        filter: Arc<Filter>,
    ) -> Result<Snapshot, EngineError>;

    /// Another core has taken over: it refuses writes from here on, after a restart as
    /// well.
    async fn fence(&self, newest: Epoch) -> Result<(), EngineError>;

    /// All shadows have the log up to there.
    fn confirm(&self, position: Position);

    /// The copy is closed, or its notes are changed: nothing is written to them any more.
    fn retire(&self) {}

    /// Bytes that its database takes elsewhere than in the copy's folder.
    fn used(&self) -> u64 {
        0
    }

    /// Why it cannot be used at present, if that is so.
    fn complaint(&self) -> Option<String> {
        None
    }
}
