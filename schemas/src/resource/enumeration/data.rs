//! Enumerations of data.

use std::{fmt, str::FromStr};

use crate::scalar::{ScalarError, Token, collapse};

open!(
    /// The engine that keeps a database.
    DataEngine, {
        /// The embedded one.
        Sqlite = "sqlite",
        /// A PostgreSQL server beside a Host.
        Postgresql = "postgresql",
        /// A MariaDB server beside a Host.
        Mariadb = "mariadb",
    }
);

impl Default for DataEngine {
    /// What keeps a database of which nothing else is said.
    fn default() -> Self {
        Self::Sqlite
    }
}

closed!(
    /// What a Host's copy of a database is; it is never both.
    ReplicaRole, "core or shadow", {
        /// The one that is written.
        Core = "core",
        /// One that follows the core.
        Shadow = "shadow",
    }
);

closed!(
    /// How far a copy of a database is.
    SyncState, "one of initialising, catchingup, synchronised, diverged, detached", {
        /// It is being loaded.
        Initialising = "initialising",
        /// It is behind.
        CatchingUp = "catchingup",
        /// It has all that was heard of, or is the core.
        Synchronised = "synchronised",
        /// It differs, and is to be made anew.
        Diverged = "diverged",
        /// It cannot be used, or hears nothing of its core.
        Detached = "detached",
    }
);
