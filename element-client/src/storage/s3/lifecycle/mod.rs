//! What becomes of objects when they are old, as a bucket's owner says it.

mod check;
mod keep;
mod notice;
mod rule;
mod walk;

pub(super) use self::{check::check, keep::keep, notice::Notices};
