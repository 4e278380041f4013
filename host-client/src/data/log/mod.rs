//! The log of a database: what its core has done, entry by entry, in the
//! database itself, each entry written in the transaction that it describes.
//!
//! Shadows keep it as well, so that any of them can become the core and serve
//! the others. Invariants: positions have no gaps; an epoch's entries stand
//! together; the state tells the last entry's place in every commit.

pub mod changeset;
pub mod history;
mod schema_change;
pub mod sequence;
mod state;
mod store;
mod varint;
mod words;

pub use self::{
    schema_change::SchemaChange,
    state::{Role, State},
    store::{LogBounds, Pulled, pull},
    words::{Whole, Words},
};
pub(in crate::data) use self::{
    schema_change::Schemas,
    state::{epoch_put, epochs, state, state_make, state_put},
    store::{entries_after, entry_ends, entry_put, trim},
    words::{whole_change, whole_of, whole_put},
};

/// The engine's own tables; one entry per version, only ever appended to.
pub(in crate::data) const MIGRATIONS: &[&str] = &["
CREATE TABLE gridmart_state (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    database TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('core', 'shadow')),
    epoch INTEGER NOT NULL,
    position INTEGER NOT NULL,
    position_epoch INTEGER NOT NULL,
    trimmed INTEGER NOT NULL,
    trimmed_epoch INTEGER NOT NULL,
    log_bytes INTEGER NOT NULL,
    fenced INTEGER,
    diverged TEXT,
    partial TEXT
) STRICT;
CREATE TABLE gridmart_log (
    position INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    time INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE gridmart_epoch (
    epoch INTEGER PRIMARY KEY,
    first INTEGER NOT NULL
) STRICT;
"];
