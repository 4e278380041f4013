//! The door of a Data Element for everybody who speaks PostgreSQL's protocol: psql, the
//! drivers of every language, and what is built on them.
//!
//! | part | what |
//! | --- | --- |
//! | `standing`, `entry`, `scram` | the door, coming in, proving who it is |
//! | `wire` | messages as bytes |
//! | `session`, `extended` | one client's messages, in their order |
//! | `run`, `rows`, `copy` | a statement, and its rows in whatever form |
//! | `transaction`, `settings` | what a session has besides |
//! | `catalog` | what clients ask about the database itself |
//! | `sessions` | all of them: cancelled and ended from elsewhere |
//!
//! Invariants: each statement is judged by the rights and rules of its person as they are
//! now; a client that takes its rows slowly costs a bounded amount of memory, and its
//! statement at the engine waits; a session that ends leaves no statement and no
//! transaction behind.

mod catalog;
mod copy;
mod entry;
mod extended;
mod rows;
mod run;
mod scram;
mod session;
mod sessions;
mod settings;
mod standing;
mod transaction;
mod value;
mod wire;

pub(super) use self::standing::{PostgresStanding, serve};
