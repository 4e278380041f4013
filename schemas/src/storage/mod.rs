//! The words in which tiers speak of data that Hosts keep.

pub mod heal;
mod redundancy;
mod root;

pub use self::{
    redundancy::{Codec, Redundancy, RedundancyError},
    root::{BlockRoot, BlockRootError},
};
