//! The words in which tiers speak of data that Hosts keep.

mod redundancy;
mod root;

pub use self::{
    redundancy::{Codec, Redundancy, RedundancyError},
    root::{BlockRoot, BlockRootError},
};
