//! Which Host gets which block.
