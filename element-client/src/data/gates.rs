//! What writes to a database pass at the Element: closed while its core changes, so that
//! each write goes to the core that counts, and none is under way meanwhile.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gridmart_schemas::{
    data::Position,
    id::DatabaseId,
    problem::{Code, Problem},
};
use parking_lot::Mutex;
use tokio::{
    sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock},
    time::timeout,
};

/// A write waits so long for a new core.
const ENTER_MAX: Duration = Duration::from_secs(30);
/// A change of core waits so long for writes under way.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// A write that has passed, until it is dropped.
pub(super) type Passed = OwnedRwLockReadGuard<()>;
/// Nobody writes until it is dropped.
pub(super) type Closed = OwnedRwLockWriteGuard<()>;

/// See the module.
#[derive(Default)]
pub(super) struct Gates {
    gates: Mutex<HashMap<DatabaseId, Arc<RwLock<()>>>>,
    /// The last position that somebody was told to have been committed.
    committed: Mutex<HashMap<DatabaseId, Position>>,
}

impl Gates {
    fn of(&self, database: DatabaseId) -> Arc<RwLock<()>> {
        Arc::clone(self.gates.lock().entry(database).or_default())
    }

    /// Lets a write pass; where its core goes is looked at afterwards.
    pub(super) async fn enter(&self, database: DatabaseId) -> Result<Passed, Problem> {
        let passed = timeout(ENTER_MAX, self.of(database).read_owned()).await;
        passed.map_err(|_| Problem::new(Code::Busy, "The database is getting another core."))
    }

    /// Lets no write begin, once those under way have ended.
    pub(super) async fn close(&self, database: DatabaseId) -> Result<Closed, Problem> {
        let closed = timeout(CLOSE_MAX, self.of(database).write_owned()).await;
        closed.map_err(|_| {
            Problem::new(
                Code::Busy,
                "A statement that writes has not ended in time, or the core is being changed \
                 already: try again in a moment.",
            )
        })
    }

    /// Somebody is told that this was committed: noted before.
    pub(super) fn committed(&self, database: DatabaseId, position: Position) {
        let mut committed = self.committed.lock();
        let known = committed.entry(database).or_default();
        *known = position.max(*known);
    }

    /// The last position that was acknowledged since this Element's start.
    pub(super) fn acknowledged(&self, database: DatabaseId) -> Position {
        let committed = self.committed.lock();
        committed.get(&database).copied().unwrap_or_default()
    }

    /// Another core goes on from where it stands.
    pub(super) fn forget_acknowledged(&self, database: DatabaseId) {
        self.committed.lock().remove(&database);
    }

    /// The database is gone.
    pub(super) fn forget(&self, database: DatabaseId) {
        self.forget_acknowledged(database);
        self.gates.lock().remove(&database);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_of_core_and_writes_keep_each_other_out() {
        let (gates, database) = (Gates::default(), DatabaseId::generate());
        let (one, other) = (
            gates.enter(database).await.unwrap(),
            gates.enter(database).await.unwrap(),
        );
        let closing = gates.close(database);
        tokio::pin!(closing);
        let pause = Duration::from_millis(5);
        assert!(timeout(pause, &mut closing).await.is_err());
        drop((one, other));
        let closed = closing.await.unwrap();
        assert!(timeout(pause, gates.enter(database)).await.is_err());
        drop(gates.enter(DatabaseId::generate()).await.unwrap());
        drop(closed);
        gates.enter(database).await.unwrap();
        for position in [7, 5] {
            gates.committed(database, Position::new(position));
        }
        assert_eq!(gates.acknowledged(database), Position::new(7));
        gates.forget(database);
        assert_eq!(gates.acknowledged(database), Position::ZERO);
    }
}
