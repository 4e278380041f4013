//! The Element's State: sums over its usable Hosts. Never a constant, never a
//! guess.

use gridmart_schemas::{
    resource::{
        common::CommonState,
        enumeration::{HealthState, ServingState},
        host::{StorageDeviceState, StorageHostState},
        se::SeState,
    },
    role::Desired,
    scalar::{Percent, Seconds, UtcTime},
    storage::Redundancy,
};

use super::{pool::Pool, service::LogShown};

/// Characters of a reason that are told.
const INFO_CHARACTERS: usize = 400;

/// How many Hosts there are, and how they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCounts {
    /// Not revoked.
    pub all: u32,
    /// Of these, those on which no blocks can be written now.
    pub unavailable: u32,
    /// Of these, those on which a data folder takes no further blocks.
    read_only: u32,
}

/// Counts the Hosts.
pub fn host_counts(pool: &Pool) -> HostCounts {
    let mut counts = HostCounts::default();
    for (_, host) in pool.hosts().filter(|(_, host)| !host.revoked) {
        counts.all += 1;
        match host.writable() {
            None => counts.unavailable += 1,
            Some(state) if state.storage_devices.iter().any(|one| one.read_only) => {
                counts.read_only += 1;
            }
            Some(_) => {}
        }
    }
    counts
}

/// Bytes on disks, summed so that no Host can make them overflow.
#[derive(Clone, Copy, Debug, Default)]
struct Room {
    used: u128,
    free: u128,
    reserved: u128,
}

impl Room {
    /// Of all Hosts, before redundancy. A Host that finishes what it has counts
    /// for what is on it, not for what could be.
    fn of(pool: &Pool) -> Self {
        let mut room = Self::default();
        for (_, host) in pool.hosts() {
            let Some(state) = host.readable() else {
                continue;
            };
            let is_open = host.writable().is_some();
            for device in &state.storage_devices {
                room.add(device, is_open);
            }
        }
        room
    }

    fn add(&mut self, device: &StorageDeviceState, is_open: bool) {
        self.used += u128::from(device.used_space);
        self.reserved += u128::from(device.reserved_space);
        if is_open {
            self.free += u128::from(device.available_space);
        }
    }

    /// The same after redundancy.
    fn kept(self, redundancy: Redundancy) -> Self {
        let data = u128::from(redundancy.data());
        let kept = |bytes: u128| bytes * data / u128::from(redundancy.blocks());
        Self {
            used: kept(self.used),
            free: kept(self.free),
            reserved: kept(self.reserved),
        }
    }

    /// Used, reserved, free, as they can be told: together no more than can.
    fn told(self) -> [u64; 3] {
        let mut left = u64::MAX;
        [self.used, self.reserved, self.free].map(|bytes| {
            let bytes = u64::try_from(bytes).map_or(left, |bytes| bytes.min(left));
            left -= bytes;
            bytes
        })
    }
}

/// The State as it is now. `is_idle`: no transfer is under way. `validity`: for
/// how long it is a fact.
///
/// Sizes are what the Hosts have, divided as the redundancy divides it with
/// which a new bucket of this pool begins.
pub(super) fn element_state(
    pool: &Pool,
    log: &LogShown,
    is_idle: bool,
    started: UtcTime,
    validity: Seconds,
) -> SeState {
    let counts = host_counts(pool);
    let common = common_state(pool, log, (counts, is_idle), started);
    let mut state = SeState::new(UtcTime::now(), validity, common);
    let (redundancy, _) = Redundancy::default_for(counts.all);
    let room = Room::of(pool);
    let [used, reserved, free] = room.kept(redundancy).told();
    state.total_online_size = used + reserved + free;
    state.used_online_size = used;
    state.reserved_online_size = reserved;
    state.free_online_size = free;
    let [raw_used, raw_reserved, raw_free] = room.told();
    state.raw_total_size = Some(raw_used + raw_reserved + raw_free);
    state.raw_free_size = Some(raw_free);
    state.current_io_load = io_load(pool.hosts().filter_map(|(_, host)| host.readable()));
    state
}

/// The mean over the Hosts that tell it.
fn io_load<'a>(states: impl Iterator<Item = &'a StorageHostState>) -> Option<Percent> {
    let loads: Vec<u32> = states
        .filter_map(|state| state.current_io_load)
        .map(|load| u32::from(load.get()))
        .collect();
    let mean = loads
        .iter()
        .sum::<u32>()
        .checked_div(u32::try_from(loads.len()).ok()?)?;
    Percent::new(u8::try_from(mean).ok()?).ok()
}

fn common_state(
    pool: &Pool,
    log: &LogShown,
    (counts, is_idle): (HostCounts, bool),
    started: UtcTime,
) -> CommonState {
    let usable = counts.all > counts.unavailable;
    let is_open = usable && matches!(log, LogShown::Ready | LogShown::Degraded(_));
    let serving = match pool.wish().desired {
        Desired::Closed if is_idle => ServingState::Closed,
        Desired::Closed => ServingState::Draining,
        Desired::Production if is_open => ServingState::Production,
        Desired::Production => ServingState::Queueing,
    };
    let (health, info) = health(log, counts);
    let mut common = CommonState::new(serving, health);
    common.health_state_info = info.and_then(|info| info.parse().ok());
    common.start_time = Some(started);
    common
}

/// The worst that there is, and what it is.
fn health(log: &LogShown, counts: HostCounts) -> (HealthState, Option<String>) {
    let HostCounts {
        all,
        unavailable,
        read_only,
    } = counts;
    if let LogShown::Refused(why) = log {
        let info = format!("The metadata are out of use: {why}.");
        return (HealthState::Critical, Some(told(&info)));
    }
    if all <= unavailable {
        let info = format!("None of {all} Hosts is usable.");
        return (HealthState::Critical, Some(info));
    }
    if let LogShown::Degraded(why) = log {
        let info = format!("Changes are taken back: {why}.");
        return (HealthState::Critical, Some(told(&info)));
    }
    if let LogShown::Opening(why) = log {
        let info = format!("The metadata are not ready yet: {why}.");
        return (HealthState::Warning, Some(told(&info)));
    }
    if unavailable > 0 {
        let info = format!("{unavailable} of {all} Hosts are not usable.");
        return (HealthState::Warning, Some(info));
    }
    if read_only > 0 {
        let info =
            format!("{read_only} of {all} Hosts have a data folder that takes no further blocks.");
        return (HealthState::Warning, Some(info));
    }
    (HealthState::Ok, None)
}

/// As much of it as a State can tell.
fn told(info: &str) -> String {
    info.chars().take(INFO_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use gridmart_schemas::{
        id::NodeId,
        resource::{
            Document as _,
            common::{AccessControlBase, CommonInfo},
            enumeration::SeArchitecture,
            se::{SeInfo, SePolicy, StorageElement},
        },
        wire::desired::{ElementDesired, Wish},
    };
    use proptest::prelude::*;

    use super::*;
    use crate::storage::scene::{self, pool};

    fn state(pool: &Pool) -> SeState {
        state_while(pool, true)
    }

    fn state_while(pool: &Pool, is_idle: bool) -> SeState {
        let state = element_state(
            pool,
            &LogShown::Ready,
            is_idle,
            UtcTime::now(),
            Seconds::from_secs(15),
        );
        // What is told keeps the rules across fields.
        let common = CommonInfo::new("se1".parse().unwrap(), "lab".parse().unwrap());
        let element = StorageElement {
            id: NodeId::generate().to_urn().parse().unwrap(),
            info: SeInfo::new(common, SeArchitecture::Multidisk),
            state: Some(state.clone()),
            policy: SePolicy::default(),
            access: AccessControlBase::default(),
        };
        assert!(element.validate().is_ok(), "{state:?}");
        state
    }

    fn closed() -> Wish {
        Wish {
            desired: Desired::Closed,
            ..Wish::default()
        }
    }

    #[test]
    fn sizes_are_divided_as_a_new_bucket_would_be_kept() {
        let now = Instant::now();
        for (hosts, total, free) in [(1, 100, 60), (2, 100, 60), (3, 100, 60), (7, 466, 280)] {
            let (pool, _) = pool(&vec![(60, 30, 10); hosts], now);
            let state = state(&pool);
            let found = (state.total_online_size, state.free_online_size);
            assert_eq!(found, (total, free), "{hosts} Hosts");
            assert_eq!(state.raw_total_size, Some(hosts as u64 * 100));
        }
    }

    #[test]
    fn a_stopped_host_has_no_room_and_a_lost_one_nothing() {
        let (mut pool, ids) = pool(&[(60, 40, 0); 3], Instant::now());
        pool.on_host_lost(ids[0]);
        let mut desired = ElementDesired::default();
        desired
            .hosts
            .push(gridmart_schemas::wire::desired::HostWish {
                host: ids[1],
                wish: closed(),
                applications: Vec::new(),
            });
        pool.on_desired(&desired);
        let state = state(&pool);
        assert_eq!(state.raw_free_size, Some(60));
        assert_eq!(state.raw_total_size, Some(140));
        assert_eq!(state.common.health_state, HealthState::Warning);
        let info = state.common.health_state_info.unwrap();
        assert_eq!(info.as_str(), "2 of 3 Hosts are not usable.");
    }

    #[test]
    fn without_a_usable_host_it_is_queueing_and_stopped_it_is_closed() {
        let now = Instant::now();
        let (mut pool, ids) = pool(&[(1, 0, 0)], now);
        pool.on_host_lost(ids[0]);
        let told = state(&pool).common;
        assert_eq!(
            (told.serving_state, told.health_state),
            (ServingState::Queueing, HealthState::Critical)
        );
        pool.on_desired(&ElementDesired {
            wish: closed(),
            ..ElementDesired::default()
        });
        assert_eq!(state(&pool).common.serving_state, ServingState::Closed);
        let draining = state_while(&pool, false).common.serving_state;
        assert_eq!(draining, ServingState::Draining);
    }

    #[test]
    fn a_folder_that_takes_no_blocks_is_told_and_loads_are_averaged() {
        let now = Instant::now();
        let (mut pool, ids) = pool(&[(1, 0, 0), (1, 0, 0)], now);
        let mut full = scene::state((0, 1, 0));
        full.storage_devices[0].read_only = true;
        full.current_io_load = Percent::new(30).ok();
        pool.on_host_heard(ids[0], full, now);
        assert_eq!(state(&pool).current_io_load, Percent::new(30).ok());
        let mut busy = scene::state((1, 0, 0));
        busy.current_io_load = Percent::new(90).ok();
        pool.on_host_heard(ids[1], busy, now);
        let state = state(&pool);
        assert_eq!(state.current_io_load, Percent::new(60).ok());
        assert_eq!(state.common.health_state, HealthState::Warning);
        let info = state.common.health_state_info.unwrap();
        assert!(info.as_str().contains("takes no further blocks"), "{info}");
    }

    proptest! {
        #[test]
        fn sums_of_anything_are_a_valid_state(
            rooms in proptest::collection::vec(any::<scene::Room>(), 0..10)
        ) {
            let (pool, _) = pool(&rooms, Instant::now());
            let state = state(&pool);
            prop_assert!(Some(state.total_online_size) <= state.raw_total_size);
        }
    }
}
