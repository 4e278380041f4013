//! Objects: what they say of themselves, reading and writing them.

pub(super) mod acl;
pub(super) mod ask;
pub(super) mod attributes;
pub(super) mod condition;
pub(super) mod copy;
pub(super) mod delete;
pub(super) mod head;
pub(super) mod lock;
pub(super) mod read;
pub(super) mod tags;
pub(super) mod version;
pub(super) mod write;
