//! Messages of PostgreSQL's protocol, version 3, as bytes.
//!
//! The codec is our own and not that of the crate `pgwire`, whose readers panic on a
//! message that is shorter than its fields, and replace what is no UTF-8 without a word.
//!
//! Invariants: nothing that comes is believed; a message is read to its last byte or not
//! at all; no more is held of one than its bound, and of all large ones together than a
//! bound of their own.

pub(super) mod backend;
mod fields;
pub(super) mod frontend;
mod inbox;
mod outbox;

pub(super) use self::{
    fields::Malformed,
    inbox::{Inbox, Weigh, Weight, WireError},
    outbox::Outbox,
};
