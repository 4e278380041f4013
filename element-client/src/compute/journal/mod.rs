//! What survives a restart of the Element beside its information base and its
//! call records: the leases in force.

pub mod lease;
