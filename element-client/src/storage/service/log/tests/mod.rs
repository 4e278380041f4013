//! The log over Hosts in memory: members that come and go, what is
//! acknowledged meanwhile, and what a rebuild finds of it.

mod change;
mod history;
mod plan;
mod scene;
mod snapshots;
