//! The controller as a whole: the real service on ports of its own, people
//! over HTTP, simulated Elements over real mutual TLS.
//!
//! What takes time is waited for with a deadline; nothing sleeps for luck.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::too_many_lines, reason = "a test tells one story")]

mod activities;
mod contracts;
mod element;
mod grid;
mod joining;
mod live;
mod packages;
mod people;
mod sessions;
mod wishes;
