//! What happens to an operator's network when any one link fails.
//!
//! A GML file becomes a [`network::Network`] (whole-number link costs), an
//! [`impact::Analysis`] tells what each failure does, and [`part`] cuts the job
//! into independent pieces and puts their answers together again. The [`report`] is the
//! same, byte for byte, however the job was cut.

pub mod gml;
pub mod graph;
pub mod impact;
pub mod network;
pub mod part;
pub mod report;
pub mod sql;
pub mod topology;

mod bridge;
