//! The compute Host: fetches applications, runs their calls, tells the Element.
//!
//! Map: `run` wires everything; `comm` speaks with the Element, `door` and
//! `calls` with programs; `relay` brings these where the
//! Host has no door. `leases` → `lease` → `slot` → `sandbox` → `runner`
//! is the way of a call inwards; `call` is where its bytes meet. `deploy`
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
mod door;
mod error;
mod folder;
mod invocation;
mod join;
mod launcher;
mod lease;
mod leases;
mod limits;
mod log;
mod metrics;
mod provision;
mod recent;
mod record;
mod relay;
mod run;
pub mod runner;
mod sandbox;
mod services;
mod slot;
mod spool;
mod stores;
mod verdict;

pub use self::{
    config::{Config, Embedding},
    error::HostError,
    run::{run, run_embedded},
    sandbox::RunnerProgram,
};
