//! The Element's State: sums over its usable Hosts. Never a constant, never a guess.

use std::collections::HashSet;

use gridmart_schemas::{
    resource::{
        common::CommonState,
        database::Database,
        de::DeState,
        de_doc::DeDocument,
        enumeration::{HealthState, ServingState},
        host::DataHostState,
    },
    role::Desired,
    scalar::{Seconds, Uri, UtcTime},
};

use super::pool::Pool;

/// What is being done at the Element's door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doing {
    /// Statements that run, and results that are open.
    pub statements: usize,
    /// Statements that wait for others to end.
    pub waiting: usize,
    /// SQL sessions that stand.
    pub sessions: usize,
}

/// The State as it is now; `validity`: for how long it is a fact.
pub fn element_state(pool: &Pool, doing: Doing, started: UtcTime, validity: Seconds) -> DeState {
    let hosts = pool.hosts().filter(|(_, host)| !host.revoked);
    let (mut all, mut usable) = (0_u32, 0_u32);
    let (mut used, mut free) = (0_u64, 0_u64);
    for (_, host) in hosts {
        all += 1;
        let Some(state) = host.state.as_ref().filter(|_| host.is_usable()) else {
            continue;
        };
        let DataHostState {
            used_space,
            available_space,
            ..
        } = state;
        usable += 1;
        used = used.saturating_add(*used_space);
        free = free.saturating_add(*available_space);
    }
    let serving = match pool.wish().desired {
        Desired::Closed if doing.statements == 0 => ServingState::Closed,
        Desired::Closed => ServingState::Draining,
        Desired::Production if usable > 0 => ServingState::Production,
        Desired::Production => ServingState::Queueing,
    };
    let (health, info) = match (all, usable) {
        (_, 0) => (
            HealthState::Critical,
            Some(format!("None of {all} Hosts is usable.")),
        ),
        (all, usable) if usable < all => {
            let info = format!("{} of {all} Hosts are not usable.", all - usable);
            (HealthState::Warning, Some(info))
        }
        _ => (HealthState::Ok, None),
    };
    let mut common = CommonState::new(serving, health);
    common.health_state_info = info.and_then(|info| info.parse().ok());
    common.start_time = Some(started);
    let mut state = DeState::new(UtcTime::now(), validity, common);
    state.running_requests = u32::try_from(doing.statements).unwrap_or(u32::MAX);
    state.waiting_requests = u32::try_from(doing.waiting).unwrap_or(u32::MAX);
    state.active_sessions = u32::try_from(doing.sessions).unwrap_or(u32::MAX);
    state.used_size = Some(used);
    state.total_size = Some(used.saturating_add(free));
    state
}

/// Copies that Hosts have and the document does not know: they stay where they are, and
/// it is told.
pub fn stray(pool: &Pool, document: &DeDocument) -> Option<String> {
    let databases = document.databases.databases.iter();
    let removed = document.removed_copies.copies.iter();
    let ids = databases
        .filter_map(Database::database)
        .chain(removed.filter_map(|copy| Some(copy.place()?.0)));
    let known: HashSet<Uri> = ids.map(|id| Uri::from_uuid(id.as_uuid())).collect();
    let hosts = pool.hosts().filter(|(_, host)| host.is_usable());
    let mut found = hosts.filter_map(|(_, host)| {
        let mut replicas = host.state.iter().flat_map(|state| &state.replicas);
        let stray = replicas.find(|replica| !known.contains(&replica.database))?;
        Some(format!(
            "The Host {} has a copy of a database that DEDoc.xml does not know ({}): it stays; if \
             the document is not the newest one, restore that.",
            host.name, stray.database
        ))
    });
    found.next()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use gridmart_schemas::{
        id::DatabaseId,
        resource::{
            Extensions,
            common::{AccessControlBase, CommonInfo},
            de::{DataElement, DeInfo, DePolicy},
            de_doc::RemovedCopy,
            enumeration::{ReplicaRole, SyncState},
        },
        wire::desired::{ElementDesired, Wish},
    };

    use super::*;
    use crate::data::pool::tests::{arrive, state};

    #[test]
    fn a_stopped_element_drains_first_and_hosts_that_are_away_count_nothing() {
        let (mut pool, now) = (Pool::default(), Instant::now());
        let told = |pool: &Pool, statements| {
            let doing = Doing {
                statements,
                waiting: 0,
                sessions: 1,
            };
            element_state(pool, doing, UtcTime::now(), Seconds::from_secs(15))
        };
        assert_eq!(told(&pool, 0).common.serving_state, ServingState::Queueing);
        let away = arrive(&mut pool, state(&[]), now);
        arrive(&mut pool, state(&[]), now);
        assert_eq!(told(&pool, 0).total_size, Some(20_000));
        pool.on_host_lost(away);
        let found = told(&pool, 2);
        assert_eq!(
            (found.total_size, found.used_size),
            (Some(10_000), Some(1000))
        );
        assert_eq!(found.common.health_state, HealthState::Warning);
        pool.on_desired(&ElementDesired {
            wish: Wish {
                desired: Desired::Closed,
                ..Wish::default()
            },
            ..ElementDesired::default()
        });
        assert_eq!(told(&pool, 2).common.serving_state, ServingState::Draining);
        assert_eq!(told(&pool, 0).common.serving_state, ServingState::Closed);
    }

    #[test]
    fn a_copy_that_the_document_does_not_know_is_told_and_one_that_is_to_go_is_not() {
        let (mut pool, now, id) = (Pool::default(), Instant::now(), DatabaseId::generate());
        let copy = (id, ReplicaRole::Core, SyncState::Synchronised, 7);
        let host = arrive(&mut pool, state(&[copy]), now);
        let mut document = DeDocument::new(DataElement {
            id: host.to_urn().parse().unwrap(),
            info: DeInfo {
                common: CommonInfo::new("de".parse().unwrap(), "lab".parse().unwrap()),
                engines: Vec::new(),
                access_protocols: Vec::new(),
                extensions: Extensions::default(),
            },
            state: None,
            policy: DePolicy::default(),
            access: AccessControlBase::default(),
        });
        let told = stray(&pool, &document).unwrap();
        assert!(told.contains(&id.to_string()), "{told}");
        let (name, owner) = ("shop".parse().unwrap(), "ada".parse().unwrap());
        let database = Database::new(id, name, owner, Vec::new()).unwrap();
        document.databases.databases.push(database);
        assert_eq!(stray(&pool, &document), None);
        document.databases.databases.clear();
        let removed = RemovedCopy::of(id, host, true);
        document.removed_copies.copies.push(removed);
        assert_eq!(stray(&pool, &document), None);
    }
}
