//! First tier of gridmart: the Elements.
//!
//! An Element is an autonomous pool of one kind in one domain. What all kinds
//! are and do is in `element`, on the information base, and around them at the
//! top (`config`, `run`, what is told to the controller), and in `public` what those
//! share that people's own programs dial; what each kind has on
//! its shelf is in its folder.

pub mod compute;
mod config;
pub mod data;
pub mod element;
mod group;
pub mod info_base;
pub mod monitor;
mod public;
mod run;
pub mod storage;

pub use self::{
    config::{Config, DataLimits},
    run::ElementError,
};
