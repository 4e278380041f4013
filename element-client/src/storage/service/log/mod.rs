//! The log of the metadata over real Hosts.
//!
//! `replica` is the way to the copy on one Host; `plan` says which Hosts should
//! have one, `members` brings it about, and `keeper` starts it all, and stays
//! beside it until the Element ends. The order in which members change, and why
//! a rebuild then misses nothing, is told at
//! [`crate::storage::metadata::Membership`].

mod keeper;
mod members;
mod plan;
mod replica;
mod standing;

pub(crate) use self::{
    keeper::{keep, open_store},
    members::Members,
    replica::Ways,
    standing::{Log, LogShown},
};
