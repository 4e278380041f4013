//! The data Host: keeps copies of databases, each of them a core or a shadow.
//!
//! Map: `engine` runs statements, on SQLite or on a `server` beside the Host; `log` is what a core writes
//! down of its changes, and `shadow` applies that; `snapshot` brings a copy to a
//! Host that has none; `home` is the folder of a copy. These know no network: whoever
//! calls gives and takes statements, entries and chunks. `copies` has all that are
//! here, each a `copy` that may become the core or a shadow again; `gate` is where its
//! writes pass, `kept_aside` where what it alone had goes, `comparison` whether it is
//! what its core is, `pulling` how a log travels, `parts` what of it whom may reach, `rebuilding` how a copy is made anew. `runner` wires them to what every Host
//! is (`crate::member`), to which `goods` gives what is data's. At the `door` the own
//! Element has statements `run`, alone or in `transactions`, and tells a shadow whom to
//! follow (`follower`), and shadows of others read a core's log.
//!
//! Invariants: a transaction is acknowledged when it is durable; its entries are
//! in the log if and only if it was committed; a shadow shows whole transactions
//! only, each once, in the order of the log, or says that it has diverged.

pub mod aside;
pub mod check;
mod comparison;
mod config;
mod copies;
mod copy;
#[cfg(test)]
mod crash_tests;
mod cut;
mod description;
mod door;
pub mod engine;
#[cfg(test)]
mod fixture;
mod follower;
mod gate;
mod goods;
pub mod home;
mod kept_aside;
pub mod log;
mod pace;
pub mod partial;
mod parts;
pub mod promotion;
mod pulling;
mod rebuilding;
mod run;
mod runner;
pub mod server;
pub mod shadow;
pub mod snapshot;
mod transactions;

pub use self::{config::Config, runner::run};

/// An error's words as a sentence, for people.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
