//! Access: which Element serves a need, and which Elements hold an application.
//!
//! Invariants: everything here is a pure function over a [`View`]; each
//! decision makes its explanation with the very checks that decided it.
//!
//! [`View`]: crate::catalogue::View

pub mod application;
pub mod bucket;
pub mod compute;
pub mod database;
pub mod deployment;
pub mod fit;
mod judgement;
pub mod kept;
pub mod placement;
pub mod verdict;
