//! The Element's control streams: the one it dials to the controller, and those
//! that Hosts dial to its door.

pub(crate) mod controller;
pub(crate) mod host;
