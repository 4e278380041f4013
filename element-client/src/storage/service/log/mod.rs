//! The log of the metadata over real Hosts.
//!
//! `replica` is the way to the copy on one Host; `plan` says which Hosts should
//! have one, `members` brings it about, `snapshots` shorten it, and `keeper`
//! starts it all, and stays beside it until the Element ends. `standing` tells
//! how it is. `rebuilder` makes a lost store anew. The order in which members change, and why
//! a rebuild then misses nothing, is told at
//! [`crate::storage::metadata::Membership`].

mod hosts;
mod keeper;
mod measure;
mod members;
mod plan;
mod rebuilder;
mod replica;
mod snapshots;
mod standing;
#[cfg(test)]
mod tests;

pub use self::rebuilder::{AwayHost, RebuildFailure, RebuildReport};
pub(crate) use self::{
    keeper::{keep, open_store},
    measure::LogMeasures,
    members::Members,
    rebuilder::{RebuildOrder, require_lost},
    replica::Ways,
    standing::{Errand, Log, LogShown},
};
