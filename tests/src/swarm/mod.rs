//! A swarm: many simulated Elements and Hosts in one process, on real streams,
//! that speak the real protocol with a real controller or a real Element.
//!
//! - [`Role`]: a controller or an Element as a process of its own;
//! - [`SimulatedElement`]: joins the controller, vouches for Hosts that exist
//!   as their descriptions alone, beats for them, applies what should be;
//! - [`SimulatedHost`]: joins an Element and beats, each on its own stream;
//! - [`QueueClient`]: asks an Element for slots, as the SDK does;
//! - [`Person`]: speaks with the people's door on one kept connection.
//!
//! Simulated nodes dial, greet, and dial again by the fabric's own code, so
//! that what is measured of a return is what real nodes do. They run nothing.

mod arrival;
mod client;
mod description;
mod element;
mod host;
mod membership;
mod person;
mod role;

pub use arrival::Arrivals;
pub use client::{Heard, QueueClient};
pub use element::SimulatedElement;
pub use host::SimulatedHost;
pub use person::Person;
pub use role::Role;

use std::time::Duration;

/// No answer is waited for longer.
const PATIENCE: Duration = Duration::from_mins(1);
