//! The Element's streams: the one it dials to the controller, and those that
//! Hosts and clients dial to its door.

pub(crate) mod client;
pub(crate) mod controller;
pub(crate) mod host;
