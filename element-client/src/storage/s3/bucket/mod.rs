//! Buckets: making, finding and removing them, and their settings.

pub(super) mod acl;
pub(super) mod basic;
pub(super) mod documents;
pub(super) mod lock;
pub(super) mod policy;
pub(super) mod versioning;
