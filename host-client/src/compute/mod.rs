//! The compute Host: fetches applications, runs their calls, tells the Element.
//!
//! Map: `run` wires everything; `comm` speaks with the Element, `door` and
//! `calls` with programs; `relay` brings these where the
//! Host has no door. `leases` → `lease` → `slot` → `sandbox` → `runner`
//! is the way of a call inwards; `call` is where its bytes meet; what is
//! decided on that way is in `roll` (leases), `tenure` (one lease), `fate` (one
//! call) and `orders` (what should be), which know no I/O. `deploy`
//! brings applications, `command` keeps what should be, `record` and `log`
//! keep what was.

mod call;
mod calls;
mod cgroup;
mod comm;
mod command;
mod config;
mod deploy;
mod description;
mod disk_watch;
mod door;
mod draft;
mod error;
pub mod fate;
mod folder;
mod invocation;
mod join;
mod launcher;
mod lease;
mod leases;
mod limits;
mod log;
mod metrics;
pub mod orders;
mod provision;
mod recent;
mod record;
mod relay;
pub mod roll;
mod room;
mod run;
pub mod runner;
mod sandbox;
mod services;
mod slot;
mod spool;
mod stores;
pub mod tenure;
mod verdict;

pub use self::{
    config::{Config, Embedding},
    error::HostError,
    run::{run, run_embedded},
    sandbox::RunnerProgram,
    verdict::Cut,
};
