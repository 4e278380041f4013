//! Storage Hosts for the tests of this folder.

use std::{sync::Arc, time::Instant};

use gridmart_schemas::{
    id::{Incarnation, NodeId},
    resource::{
        common::{AccessControlBase, CommonInfo, CommonState},
        enumeration::{HealthState, OsFamily, Platform, ServingState, StorageDeviceType},
        host::{
            Architecture, OperatingSystem, StorageDevice, StorageDeviceState, StorageHost,
            StorageHostInfo, StorageHostPolicy, StorageHostState,
        },
    },
    scalar::{Seconds, UtcTime},
};

use super::pool::Pool;

/// For how long a State is a fact, in seconds.
pub(super) const VALIDITY: u64 = 15;

/// Bytes of one data folder: free, used, reserved.
pub(super) type Room = (u64, u64, u64);

/// A Host that is well, with one data folder.
pub(super) fn state((free, used, reserved): Room) -> StorageHostState {
    let device = StorageDeviceState {
        name: "disk".parse().unwrap(),
        available_space: free,
        used_space: used,
        reserved_space: reserved,
        read_only: false,
    };
    let common = CommonState::new(ServingState::Production, HealthState::Ok);
    let validity = Seconds::from_secs(VALIDITY);
    StorageHostState::new(UtcTime::now(), validity, common, vec![device])
}

/// The same as it describes itself.
pub(super) fn host(id: NodeId, state: Option<StorageHostState>) -> StorageHost {
    let info = StorageHostInfo::new(
        CommonInfo::new("h1".parse().unwrap(), "lab".parse().unwrap()),
        NodeId::generate().to_urn().parse().unwrap(),
        "localhost".parse().unwrap(),
        Architecture {
            platform_type: Platform::Amd64,
            smp_size: 2.try_into().unwrap(),
        },
        OperatingSystem {
            family: OsFamily::Linux,
            name: "debian".parse().unwrap(),
            release: None,
            version: None,
        },
        StorageDevice {
            name: "disk".parse().unwrap(),
            kind: StorageDeviceType::Disk,
            root: "/data".parse().unwrap(),
            size: u64::MAX,
            transfer_rate: None,
        },
    );
    StorageHost {
        id: id.to_urn().parse().unwrap(),
        info,
        state,
        policy: StorageHostPolicy::default(),
        access: AccessControlBase::default(),
    }
}

/// A pool of Hosts that have come, each with so much room.
pub(super) fn pool(rooms: &[Room], now: Instant) -> (Pool, Vec<NodeId>) {
    let mut pool = Pool::default();
    let ids = rooms.iter().map(|room| {
        let id = NodeId::generate();
        arrive(&mut pool, id, *room, now);
        id
    });
    let ids = ids.collect();
    (pool, ids)
}

/// A Host comes.
pub(super) fn arrive(pool: &mut Pool, id: NodeId, room: Room, now: Instant) {
    let description = Arc::new(host(id, Some(state(room))));
    pool.on_host_arrived(id, description, Vec::new(), Incarnation::generate(), now);
}
