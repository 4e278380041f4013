//! Tickets: short-lived signed permissions, verified offline by whoever serves
//! what they permit.
//!
//! They are JWTs of one algorithm (ES256) and of two types that never pass for
//! each other. Invariants: the issuer is who owns the key, whatever the ticket
//! says; a ticket serves one audience and one TLS key; its life is at most
//! [`LIFE_MAX`]; nothing in it is believed before its signature is verified.
//! Cut epochs are compared by the server of the resource, not here.

mod claims;
mod signing;
mod verifying;

use std::time::Duration;

pub use self::{
    claims::{AccessClaims, AccessCut, LeaseClaims, LeaseCut, TicketApplication, Times},
    signing::SigningKey,
    verifying::VerifyingKeys,
};

/// The longest life of a ticket.
pub const LIFE_MAX: Duration = Duration::from_mins(5);
/// How far clocks may differ.
pub const LEEWAY: Duration = Duration::from_mins(1);
/// The most bytes of a ticket.
pub const TICKET_BYTES_MAX: usize = 8 * 1024;
/// The most keys that are trusted at a time.
pub const KEYS_MAX: usize = 64;

const ACCESS_TYPE: &str = "gridmart-access+jwt";
const LEASE_TYPE: &str = "gridmart-lease+jwt";

#[cfg(test)]
mod tests;
