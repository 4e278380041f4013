//! The compute Host: fetches applications, runs their calls, tells the Element.
//!
//! Map: `run` wires everything to what every Host is (`crate::member`), to which
//! `goods` gives what is compute's; `door` and `calls` speak with programs.
//! `leases` → `lease` → `slot` → `sandbox` → `runner` is the way of a call
//! inwards; `call` is where its bytes meet; what is decided on that way is in
//! `roll` (leases), `tenure` (one lease) and `fate` (one call), which know no
//! I/O. `staging` moves files of buckets. `deploy` brings applications, `record` and `log` keep what was.

mod call;
mod calls;
mod cgroup;
mod config;
mod deploy;
mod description;
mod door;
mod draft;
pub mod fate;
mod folder;
mod goods;
mod invocation;
mod launcher;
mod lease;
mod leases;
mod limits;
mod log;
mod metrics;
mod provision;
mod recent;
mod record;
mod remnant;
pub mod roll;
mod room;
mod run;
pub mod runner;
mod sandbox;
mod services;
mod slot;
mod spool;
mod staging;
mod stores;
pub mod tenure;
mod verdict;

pub use self::{
    config::{Config, Embedding},
    run::{run, run_embedded},
    sandbox::RunnerProgram,
    verdict::Cut,
};
