//! Tickets: short-lived signed permissions, verified offline by whoever serves
//! what they permit.
//!
//! They are JWTs of one algorithm (ES256) and of types that never pass for each
//! other. A receipt has their form, too: what a Host states about blocks.
//! Invariants: the issuer is who owns the key, whatever the ticket says; a
//! ticket serves one audience and one TLS key; its life is at most [`LIFE_MAX`],
//! a receipt's [`RECEIPT_LIFE`]; nothing in it is believed before its signature
//! is verified. Cut epochs are compared by the server of the resource, not here.

mod claims;
mod data;
mod heal;
mod signing;
mod storage;
mod verifying;

use std::time::Duration;

pub use self::{
    claims::{AccessClaims, AccessCut, LeaseClaims, LeaseCut, TicketApplication, Times},
    data::LogClaims,
    heal::verify_heal,
    signing::SigningKey,
    storage::{BlockClaims, BlockCut, BlockOperation, ReceiptBlock, ReceiptClaims},
    verifying::VerifyingKeys,
};

/// The longest life of a ticket.
pub const LIFE_MAX: Duration = Duration::from_mins(5);
/// How far clocks may differ.
pub const LEEWAY: Duration = Duration::from_mins(1);
/// The most bytes of a ticket.
pub const TICKET_BYTES_MAX: usize = 8 * 1024;
/// How long a receipt is good: a large object is written for hours before it is
/// committed, and blocks that nobody claims are kept for longer than this.
pub const RECEIPT_LIFE: Duration = Duration::from_hours(24);
/// The most bytes of a receipt: as many blocks as one request may have.
pub const RECEIPT_BYTES_MAX: usize = 256 * 1024;
/// The most keys that are trusted at a time.
pub const KEYS_MAX: usize = 64;

/// The most bytes of a heal certificate: some hundred Hosts in it.
pub const HEAL_BYTES_MAX: usize = 64 * 1024;

const ACCESS_TYPE: &str = "gridmart-access+jwt";
const LEASE_TYPE: &str = "gridmart-lease+jwt";
const BLOCK_TYPE: &str = "gridmart-block+jwt";
const RECEIPT_TYPE: &str = "gridmart-receipt+jwt";
const LOG_TYPE: &str = "gridmart-log+jwt";
const HEAL_TYPE: &str = "gridmart-heal+jwt";

#[cfg(test)]
mod storage_tests;
#[cfg(test)]
mod tests;
