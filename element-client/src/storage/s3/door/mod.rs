//! Connections of the S3 door, within bounds: how many, how long a head may take
//! and be, how slow a body may come, how many requests are under way.
//!
//! Invariants: what is not let in is closed at once; a request that is too slow is
//! ended; when [`serve`](serve::serve) has returned, nothing of the door runs any more.

mod body;
mod chunks;
mod connection;
mod io;
mod limits;
mod serve;
mod sized;

pub(super) use self::{
    body::PacedBody,
    connection::Answering,
    limits::S3Limits,
    serve::{WHAT, serve},
};
