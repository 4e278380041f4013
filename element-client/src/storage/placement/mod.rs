//! Which Host gets which block: pure functions over the Host table of a moment
//! and a seed, so that a choice can be explained by making it again.

mod candidate;
mod choose;
mod plan;

pub use self::{
    candidate::{Candidate, Standing, TooFewHosts, Unfit},
    choose::{choose_for_repair, choose_least},
    plan::{Move, Plan, PlanLimits, StoredBlock, drain, excess, is_to_give, rebalance},
};

#[cfg(test)]
mod tests;
