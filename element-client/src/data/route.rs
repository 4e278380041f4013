//! On which Hosts a statement may run, in which order, without I/O: writes on the core;
//! reads on the least busy shadow that is fresh enough, else on the core.

use std::{collections::BTreeSet, time::Instant};

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

/// The same, with the version of the rules of a part.
pub(super) type Reader = (Place, Option<u64>);

/// Where a read may run, best first: shadows alone are asked also while they are behind,
/// or hear nothing of their core. A shadow is fresh enough if it has told, within
/// the validity of its State, that it has all that it was told of; what it must have of
/// the session's own writes, its Host looks at. Shadows that hold a part are asked only
/// if they are among those that are `fitting`.
pub(super) fn readers(
    pool: &Pool,
    (database, id): (&Database, DatabaseId),
    fitting: &BTreeSet<NodeId>,
    from: ReadFrom,
    now: Instant,
) -> Vec<Reader> {
    let core = database.core();
    let core = core.map(|host| ((host, ReplicaRole::Core), None));
    if from == ReadFrom::Core {
        return core.into_iter().collect();
    }
    let replicas = database.replicas.replicas.iter();
    let mut shadows: Vec<_> = replicas
        .filter(|replica| replica.role == ReplicaRole::Shadow)
        .filter_map(|replica| {
            let host = replica.node()?;
            if replica.filter.is_some() && !fitting.contains(&host) {
                return None;
            }
            let known = pool.host(host).filter(|host| host.is_usable())?;
            let told = known.replica(id, now)?;
            if !replica.is_confirmed_by(Some(told)) {
                return None;
            }
            // A core that was replaced has told of itself what is no more.
            let is_shadow = told.role == ReplicaRole::Shadow;
            let is_behind = match told.sync_state {
                SyncState::Synchronised => false,
                // Whoever wants a shadow's answer takes an old one.
                SyncState::CatchingUp | SyncState::Detached if from == ReadFrom::Shadow => true,
                _ => return None,
            };
            is_shadow.then(|| (is_behind, known.load(), host, told.filter_version))
        })
        .collect();
    shadows.sort_unstable();
    let shadows = shadows
        .into_iter()
        .map(|(_, _, host, version)| ((host, ReplicaRole::Shadow), version));
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
        use SyncState::{CatchingUp, Detached, Synchronised};
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
        let cut_off = arrived(ReplicaRole::Shadow, Detached, 1);
        let replaced = arrived(ReplicaRole::Core, Synchronised, 0);
        let replicas = [
            Replica::on(core, ReplicaRole::Core),
            Replica::on(busy, ReplicaRole::Shadow),
            Replica::on(free, ReplicaRole::Shadow),
            Replica::on(behind, ReplicaRole::Shadow),
            Replica::on(cut_off, ReplicaRole::Shadow),
            Replica::on(replaced, ReplicaRole::Shadow),
        ];
        let database = Database::new(
            id,
            "shop".parse().unwrap(),
            "ada".parse().unwrap(),
            replicas.to_vec(),
        )
        .unwrap();
        let hosts = |pool: &Pool, from| -> Vec<NodeId> {
            let found = readers(pool, (&database, id), &BTreeSet::new(), from, now);
            found.into_iter().map(|((host, _), _)| host).collect()
        };
        assert_eq!(hosts(&pool, ReadFrom::Fresh), [free, busy, core]);
        assert_eq!(hosts(&pool, ReadFrom::Core), [core]);
        assert_eq!(
            hosts(&pool, ReadFrom::Shadow),
            [free, busy, behind, cut_off]
        );
        pool.on_host_lost(free);
        assert_eq!(hosts(&pool, ReadFrom::Fresh), [busy, core]);
        let later = now + std::time::Duration::from_mins(1);
        let stale = readers(
            &pool,
            (&database, id),
            &BTreeSet::new(),
            ReadFrom::Fresh,
            later,
        );
        assert_eq!(stale, [((core, ReplicaRole::Core), None)]);
    }
}
