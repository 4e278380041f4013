//! The controller of gridmart: catalogue, access, commands, people.
//!
//! Floors, top to bottom: [`edge`] (people's HTTP) and [`node`] (nodes' door)
//! → [`app`] (decisions) → [`access`] (pure placement), [`catalogue`] (memory
//! and its one writer) → `store` (SQL). Beside them [`gateway`], by which browsers
//! reach objects and databases. Tests and the command line call the
//! same [`run`].

pub mod access;
pub mod app;
pub mod catalogue;
pub mod config;
pub mod edge;
pub mod failure;
pub mod feed;
mod first_admin;
pub mod gateway;
mod identity;
mod metrics;
pub mod node;
mod run;
mod store;
mod task;

pub use self::{
    config::{Config, ConfigError, PeopleTls},
    run::{ControlError, run},
};
