//! The storage Host: keeps blocks of objects, and a copy of its Element's metadata
//! log.
//!
//! Map: `volume` has the blocks on the disk and `ledger` the log; these know no
//! network, all their calls block for the disk and may come from many threads.
//! `bucket` has blocks in a bucket of another object store instead.
//! `run` wires them to what every Host is (`crate::member`), to which `goods`
//! gives what is storage's. At the door, `gate` says who may do what (`transfers`
//! and `allowance` decide, without I/O), `put`, `get`, `manage` and `ledger_door`
//! serve. `care` compacts and scrubs, `room` tells what the disk has room for.
//!
//! Invariants: what was acknowledged outlives a power cut; what is damaged is
//! found and never served; after a write or a sync that failed nothing is added
//! to that file; a program reads and writes only blocks of the object version
//! that its ticket names; what a request holds in memory is bounded, and so are
//! the requests.

mod allowance;
mod blocks;
pub mod bucket;
mod care;
mod config;
mod description;
mod gate;
mod get;
mod goods;
mod group_sync;
pub mod ledger;
mod ledger_door;
mod manage;
mod metrics;
mod put;
mod query;
mod room;
mod run;
mod transfers;
pub mod volume;

pub use self::{config::Config, run::run};

/// An error's words as a sentence, for people.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
