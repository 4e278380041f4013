//! Savepoints that somebody sets in a transaction. SQLite knows them by their
//! depth, so that no name of theirs is part of a statement.

use rusqlite::Connection;

use crate::data::{
    engine::{EngineError, SqlState, sqlite::failure::Failure as _},
    log::State,
};

/// Savepoints at once in a transaction.
const SAVEPOINTS_MAX: usize = 256;

/// Those of the open transaction, oldest first.
#[derive(Debug, Default)]
pub(super) struct Savepoints {
    set: Vec<Savepoint>,
    /// Whether the last entry of the log was written as a transaction's last.
    pub(super) last_ends: bool,
}

#[derive(Debug)]
struct Savepoint {
    name: String,
    pending: State,
    last_ends: bool,
}

impl Savepoints {
    pub(super) fn clear(&mut self) {
        self.set.clear();
        self.last_ends = true;
    }

    pub(super) fn set(
        &mut self,
        connection: &Connection,
        name: &str,
        pending: &State,
    ) -> Result<(), EngineError> {
        if self.set.len() >= SAVEPOINTS_MAX {
            return Err(EngineError::LimitExceeded {
                of: "savepoints",
                limit: SAVEPOINTS_MAX as u64,
            });
        }
        run(connection, "SAVEPOINT", self.set.len())?;
        self.set.push(Savepoint {
            name: name.to_owned(),
            pending: pending.clone(),
            last_ends: self.last_ends,
        });
        Ok(())
    }

    /// Gives the state as it was at the savepoint.
    pub(super) fn rollback_to(
        &mut self,
        connection: &Connection,
        name: &str,
    ) -> Result<State, EngineError> {
        let depth = self.depth(name)?;
        run(connection, "ROLLBACK TO", depth)?;
        self.set.truncate(depth + 1);
        self.last_ends = self.set[depth].last_ends;
        Ok(self.set[depth].pending.clone())
    }

    pub(super) fn release(
        &mut self,
        connection: &Connection,
        name: &str,
    ) -> Result<(), EngineError> {
        let depth = self.depth(name)?;
        run(connection, "RELEASE", depth)?;
        self.set.truncate(depth);
        Ok(())
    }

    fn depth(&self, name: &str) -> Result<usize, EngineError> {
        let depth = self
            .set
            .iter()
            .rposition(|savepoint| savepoint.name == name);
        depth.ok_or_else(|| {
            EngineError::refused(
                SqlState::NO_SAVEPOINT,
                format!("no savepoint {name:?} is set"),
            )
        })
    }
}

fn run(connection: &Connection, act: &str, depth: usize) -> Result<(), EngineError> {
    connection
        .execute_batch(&format!("{act} savepoint_{depth}"))
        .during("a savepoint")
}
