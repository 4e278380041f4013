//! Second tier of gridmart: the Hosts. One machine's share of a pool, per
//! kind: `compute` runs applications' calls in sandboxes, `storage` keeps blocks of
//! objects and copies of its Element's ledger, `data` keeps copies of databases. `member` is what every Host is, whatever its goods.
//!
//! Invariants: a Host serves only what its own Element has permitted, with
//! tickets it verifies itself; what an application's code can see is a white
//! list; what runs goes on while the Element is away.

pub mod compute;
pub mod data;
pub mod facts;
pub mod member;
pub mod storage;
