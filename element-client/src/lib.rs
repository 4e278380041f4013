//! First tier of gridmart: the Elements.
//!
//! An Element is an autonomous pool of one kind in one domain. What all kinds
//! have in common is at the top (`config`, `run`, the information base, what
//! is told to the controller); each kind has its folder.

pub mod compute;
mod config;
mod group;
pub mod info_base;
pub mod monitor;
mod run;
