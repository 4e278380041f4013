//! What end-to-end tests stand on: the real binary as real processes, spoken
//! to through the doors that are open to everybody; and the figures.
//!
//! - [`Supermarket`]: a whole `gridmart up` in a temporary folder, its roles to
//!   be killed, frozen and started again, and its command line;
//! - [`Application`]: small applications;
//! - [`wait_for`]: the only way to wait;
//! - [`Browser`]: what pages of the console ask for;
//! - [`proxy`]: bad networks between roles;
//! - [`Clock`]: wrong clocks in roles;
//! - [`swarm`]: thousands of simulated nodes around real ones;
//! - [`simulation`]: whole cluster histories under a seed, without processes;
//! - [`soak`]: bad weather, and a ledger of what was promised;
//! - [`storage_soak`]: the same over objects;
//! - [`bench`]: the figures.
//!
//! Invariants: nothing listens but on free ports of this machine; nothing is
//! written but into temporary folders; no process outlives its supermarket,
//! and one that does fails the test; waits end, and tell what they last saw.
//!
//! What is not as it has to be ends the test at once, by a panic that names
//! the line of the test.
#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::return_self_not_must_use,
    reason = "a test ends at the first thing that is not as it has to be"
)]

mod application;
pub mod bench;
mod binary;
mod browser;
mod clock;
pub mod data_soak;
pub mod processes;
pub mod proxy;
mod run;
pub mod simulation;
pub mod soak;
pub mod storage_soak;
mod supermarket;
pub mod swarm;
mod wait;

pub use application::Application;
pub use binary::{gridmart, sibling};
pub use browser::{Answer, Browser};
pub use clock::Clock;
pub use run::{Run, Running, Usage, measure};
pub use supermarket::{Change, Ready, Supermarket, SupermarketBuilder};
pub use wait::{LONG, SHORT, interrupt, is_interrupted, wait_for};
