//! What a copy that is the core needs of its engine beside statements: what it knows of
//! itself, and its log, for shadows.

use async_trait::async_trait;
use gridmart_schemas::data::{Epoch, LogPoint, Position};
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
pub(in crate::data) trait CoreEngine: Engine {
    /// What it knows of itself.
    async fn state(&self) -> Result<State, EngineError>;

    /// What it tells of its log.
    async fn history(&self) -> Result<History, EngineError>;

    /// Answers a shadow that tells what it has.
    async fn pull(&self, shadow: History, bytes_max: u64) -> Result<Pulled, EngineError>;

    /// Tells of each commit.
    fn watch(&self) -> watch::Receiver<LogPoint>;

    /// Sums all tables, in ranges of so many rows, for a shadow to compare; tells their
    /// position before it begins, if somebody wants to know it.
    async fn sums(
        &self,
        range_rows: u64,
        begun: Option<oneshot::Sender<Position>>,
    ) -> Result<Sums, EngineError>;

    /// Makes a snapshot, for a shadow to begin with.
    async fn snapshot(&self, home: &Home) -> Result<Snapshot, EngineError>;

    /// Another core has taken over: it refuses writes from here on, after a restart as
    /// well.
    async fn fence(&self, newest: Epoch) -> Result<(), EngineError>;

    /// All shadows have the log up to there.
    fn confirm(&self, position: Position);

    /// Why it cannot be used at present, if that is so.
    fn complaint(&self) -> Option<String> {
        None
    }
}
