//! A shadow on a server: its rows are at the server, and follow the log that the copy's own
//! file has.
//!
//! The file is a shadow on SQLite as any other: it takes the core's log and keeps it. So a
//! shadow that is promoted has the log for the others, and what a server loses, or refuses,
//! is made anew from the file beside it. What readers see, and where they are told to be, is
//! the server's.
//!
//! What is the same whatever the server: `keeping` has the database that counts, and makes
//! another one where it has to; `loading` reads the `file` for that, `following` its log;
//! `sums` compares. A server's own part is a [`Keeper`], with its [`Rows`], [`Loader`] and
//! [`Applier`].

mod file;
#[cfg(test)]
pub(super) mod fixture;
mod following;
mod keeping;
mod loading;
mod sums;

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use gridmart_schemas::{
    data::{LogPoint, Position},
    id::DatabaseId,
};
use tokio::sync::oneshot;

pub(super) use self::{
    file::LogFile,
    following::{Applier, catch_up, values_of},
    keeping::{Keeper, Rows, ServerShadow},
    loading::{Loader, load},
    sums::{Summed, sum_same, told_within},
};
use super::{CoreEngine, Engine, EngineError};
use crate::data::{check::Sums, home::Home, log::LogBounds};

/// How the rows at the server stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are being copied from the file.
    Loading,
    /// They are there, as they were at some position of the log.
    There,
    /// The server cannot be used; why.
    Away(String),
}

/// The rows of a shadow at a server.
#[async_trait]
pub trait Standby: Engine {
    /// How they stand.
    fn standing(&self) -> Standing;

    /// The file has more of the log.
    fn wake(&self);

    /// Waits until the server has what the log has up to there; whether it has in time.
    async fn reach(&self, last: LogPoint, time: Duration) -> bool;

    /// Begins a view now, tells its position, and sums in it the ranges that the core will
    /// tell; `None` if it does not within the time.
    async fn sums_later(
        &self,
        begun: oneshot::Sender<Position>,
        told: std::sync::mpsc::Receiver<Sums>,
        time: Duration,
    ) -> Result<Option<Sums>, EngineError>;

    /// They differ from the core's: they are made anew.
    fn diverge(&self);

    /// They are not followed any more, and nothing of this copy's folder is changed.
    fn end(&self);

    /// Makes of them what a core has, once they have all that the log has up to there; the
    /// file has its place in the server's log then. Nothing is applied any more.
    async fn promote(&self, last: LogPoint) -> Result<(), EngineError>;

    /// Bytes that they take.
    fn used(&self) -> u64;
}

/// What a server does for shadows.
#[async_trait]
pub trait Shadows: Send + Sync {
    /// Whether it could keep a shadow that may become the core; else what is to be done for
    /// that.
    async fn require(&self) -> Result<(), EngineError>;

    /// Removes a database that was made for a copy.
    async fn remove_named(&self, name: &str) -> Result<(), EngineError>;

    /// Opens a core whose database has this name; else as [`crate::data::server::Server`]
    /// opens one.
    fn open_named(
        &self,
        name: &str,
        notes: &Path,
        bounds: LogBounds,
    ) -> Result<Box<dyn CoreEngine>, EngineError>;

    /// Opens the rows of a shadow whose file this is. Nothing is asked of the server: it may
    /// be away.
    fn open_standby(
        &self,
        database: DatabaseId,
        home: &Home,
        file: &Path,
    ) -> Result<Box<dyn Standby>, EngineError>;

    /// The name of the database that a core is made with.
    fn name_of(&self, database: DatabaseId) -> String;

    /// Ends what is done at the database of a core that was replaced, and brings all that
    /// it has committed into its log, which is in this file.
    async fn finish_log(&self, name: &str, file: &Path) -> Result<(), EngineError>;
}
