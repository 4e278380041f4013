//! The contracts that gridmart's tiers share: the resource description model
//! (`resource`, with its XSDs in `xsd/`), the messages between tiers (`wire`),
//! the people's API (`api`), how objects are kept (`storage`), values, tables and
//! logs of databases (`data`), identifiers and the table of error codes.
//!
//! Invariant: no I/O here, and no clock but what a caller passes in.

pub mod api;
pub mod data;
pub mod id;
pub mod problem;
pub mod resource;
pub mod role;
pub mod scalar;
pub mod storage;
pub mod wire;
pub mod xml;
