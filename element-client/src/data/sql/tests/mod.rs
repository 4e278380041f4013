//! The judge against real engines.
//!
//! A shop's database stands twice: whole, read through rules, and as a twin from
//! which everything that the rules forbid was removed beforehand by plain SQL. What
//! a person gets from the first has to be what an owner gets from the second.

mod bounds;
mod corpus;
mod engine;
mod maria;
mod maria_writes;
mod postgres;
mod random;
mod shop;
mod speed;
mod sqlite;
mod writes;

use super::*;
