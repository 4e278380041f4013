//! A copy on SQLite of a database that a server keeps, with gridmart's log: shadows begin
//! with it and follow it.
//!
//! What is the same whatever the server: `seat` is what a core has of it, `copying` makes
//! the `file`, `log` keeps it at the server's heels. A server's own part is a [`Source`].
//!
//! Invariants: the mirror begins with the rows as they were at one place of the server's
//! log; of that log whole transactions are applied, in their order, with their entries and
//! the place where they end in one transaction of SQLite; what cannot be applied makes it
//! useless, and it is made anew. Mirror and log have the schema, and each change of it, in
//! the server's own words as well: shadows on servers of that kind cannot be without, and a
//! mirror without them is of no use either.

mod copying;
mod file;
#[cfg(test)]
pub(super) mod fixture;
mod log;
mod seat;

use std::{
    fmt::{Debug, Display},
    str::FromStr,
};

use async_trait::async_trait;
use gridmart_schemas::{
    data::{Table, Value},
    resource::enumeration::DataEngine,
};

pub(super) use self::{
    copying::{Begin, Index, Parts, fill},
    file::{Change, Taken, make_mirror, unlike},
    log::{Log, finish},
    seat::{BEYOND_ALL, Seat},
};
use super::EngineError;

/// A server's own log, and how it is followed.
#[async_trait]
pub(super) trait Source: Sized + Send + Sync + 'static {
    /// A place in that log.
    type Place: Place;
    /// A row as it stands there.
    type Row: LoggedRow;
    /// The server's name.
    const NAME: &'static str;
    /// The engine that it is of.
    const ENGINE: DataEngine;

    /// Applies what the log has after what the mirror has: all of it, or on and on.
    async fn follow(&self, log: &Log<Self>) -> Result<(), EngineError>;

    /// Whether a failure says that the server does not have its log any more.
    fn is_gone(error: &EngineError) -> bool;
}

/// A place in a server's log; its text is kept in the mirror.
pub(super) trait Place: Clone + Debug + Display + FromStr + Send + Sync {
    /// Whether who has come here has all that is before another one.
    fn has(&self, other: &Self) -> bool;
}

/// A row of a server's log.
pub(super) trait LoggedRow: Debug + Send + Sync + 'static {
    /// The table's name.
    fn table(&self) -> &str;

    /// Its values, as gridmart has them; of those that are told to be as they were, what
    /// they were.
    fn values(&self, table: &Table, before: Option<&[Value]>) -> Result<Vec<Value>, EngineError>;
}
