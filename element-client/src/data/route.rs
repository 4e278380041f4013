//! On which Hosts a statement may run, in which order, without I/O: writes on the core;
//! reads on the least busy shadow that is fresh enough, else on the core.

use std::time::Instant;

use gridmart_schemas::{
    id::{DatabaseId, NodeId},
    resource::{
        database::Database,
        enumeration::{ReplicaRole, SyncState},
    },
    wire::data::ReadFrom,
};

use super::pool::Pool;

/// A copy that may be asked.
pub(super) type Place = (NodeId, ReplicaRole);

/// Where a read may run, best first. A shadow is fresh enough if it has told, within
/// the validity of its State, that it has all that it was told of; what it must have of
/// the session's own writes, its Host looks at.
pub(super) fn readers(
    pool: &Pool,
    database: &Database,
    id: DatabaseId,
    from: ReadFrom,
    now: Instant,
) -> Vec<Place> {
    let core = database.core().map(|host| (host, ReplicaRole::Core));
    if from == ReadFrom::Core {
        return core.into_iter().collect();
    }
    let mut shadows: Vec<_> = database
        .shadows()
        .filter_map(|host| {
            let known = pool.host(host).filter(|host| host.is_usable())?;
            let told = known.replica(id, now)?;
            let is_fresh = told.sync_state == SyncState::Synchronised;
            let is_readable =
                is_fresh || from == ReadFrom::Shadow && told.sync_state == SyncState::CatchingUp;
            is_readable.then(|| (known.load(), host))
        })
        .collect();
    shadows.sort_unstable();
    let shadows = shadows
        .into_iter()
        .map(|(_, host)| (host, ReplicaRole::Shadow));
    if from == ReadFrom::Shadow {
        return shadows.collect();
    }
    shadows.chain(core).collect()
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::resource::database::Replica;

    use super::*;
    use crate::data::pool::tests::{arrive, state};

    #[test]
    fn reads_go_to_fresh_shadows_first_and_writes_of_the_session_to_who_has_them() {
        use SyncState::{CatchingUp, Synchronised};
        let (mut pool, now, id) = (Pool::default(), Instant::now(), DatabaseId::generate());
        let mut arrived = |role, sync_state, running| {
            let mut state = state(&[(id, role, sync_state, 7)]);
            state.running_requests = running;
            arrive(&mut pool, state, now)
        };
        let core = arrived(ReplicaRole::Core, Synchronised, 0);
        let busy = arrived(ReplicaRole::Shadow, Synchronised, 5);
        let free = arrived(ReplicaRole::Shadow, Synchronised, 1);
        let behind = arrived(ReplicaRole::Shadow, CatchingUp, 0);
        let replicas = [
            Replica::on(core, ReplicaRole::Core),
            Replica::on(busy, ReplicaRole::Shadow),
            Replica::on(free, ReplicaRole::Shadow),
            Replica::on(behind, ReplicaRole::Shadow),
        ];
        let database = Database::new(
            id,
            "shop".parse().unwrap(),
            "ada".parse().unwrap(),
            replicas.to_vec(),
        )
        .unwrap();
        let hosts = |pool: &Pool, from| -> Vec<NodeId> {
            let found = readers(pool, &database, id, from, now);
            found.into_iter().map(|(host, _)| host).collect()
        };
        assert_eq!(hosts(&pool, ReadFrom::Fresh), [free, busy, core]);
        assert_eq!(hosts(&pool, ReadFrom::Core), [core]);
        assert_eq!(hosts(&pool, ReadFrom::Shadow), [behind, free, busy]);
        pool.on_host_lost(free);
        assert_eq!(hosts(&pool, ReadFrom::Fresh), [busy, core]);
        let later = now + std::time::Duration::from_mins(1);
        let stale = readers(&pool, &database, id, ReadFrom::Fresh, later);
        assert_eq!(stale, [(core, ReplicaRole::Core)]);
    }
}
