//! The nodes' door: where Elements join, dial their control streams and fetch
//! packages. Only certificates of the controller's own authority get beyond
//! `/v1/enrol`.

mod control_stream;
pub mod door;
pub mod streams;
