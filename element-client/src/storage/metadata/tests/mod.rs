//! The metadata as a whole: against a model, with replicas that fail, and
//! crashes at each step.

mod crash;
pub(in crate::storage) mod fixture;
mod model;
mod model_test;
mod record_test;
mod rules;
pub(in crate::storage) mod sim_replica;
mod speed;
mod writer_test;
