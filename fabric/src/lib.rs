//! What ties gridmart's tiers together: node identities and enrolment, mutual
//! TLS, the doors and streams between nodes, tickets, access rules, telemetry,
//! and the few things that every server process does with its disk.
//!
//! Invariants: nothing here knows a tier; every queue, buffer and wait has a
//! bound; no bytes from outside can make this code panic.

pub mod authority;
pub mod block;
pub mod causes;
pub mod clock;
pub mod disk;
pub mod door;
pub mod fault;
pub mod frames;
pub mod identity;
mod intake;
pub mod join;
mod kept;
pub mod ledger;
pub mod need;
pub mod node_lock;
pub mod package;
pub mod ready;
mod request;
pub mod rule;
pub mod socket;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod stream;
pub mod telemetry;
#[cfg(feature = "test-servers")]
pub mod test_mariadb;
#[cfg(feature = "test-servers")]
pub mod test_server;
pub mod throttle;
pub mod ticket;
pub mod tls;
pub mod tunnel;
