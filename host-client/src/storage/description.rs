//! The storage Host's description: what it is, and how it is.

use std::sync::Arc;

use gridmart_schemas::{
    resource::{
        enumeration::HealthState,
        host::{
            StorageDevice, StorageDeviceState, StorageHost, StorageHostInfo, StorageHostPolicy,
            StorageHostState,
        },
    },
    scalar::{FailureLabel, LocalId, Text, UtcTime},
};

use super::{blocks::Blocks, care::Care};
use crate::{
    facts::MachineFacts,
    member::{COMPLAINT, HostError, Member, Profile},
};

/// GLUE's word for what the Host does.
const CAPABILITY: &str = "data.management.storage";
/// The name of the one data folder.
const DEVICE: &str = "data";
/// What it says of a disk that takes no writes.
const READ_ONLY: &str = "the disk of the data folder is read-only, or cannot be looked at: mount it to be written, and see its log";

/// What it says while it has no room.
const FULL: &str = "it has no room left and takes no blocks: make room on its disk, raise --max-used-space, or let other Hosts join and apply a rebalance";

/// Describes the Host, whenever it is asked.
pub(super) struct Description {
    info: StorageHostInfo,
    policy: StorageHostPolicy,
    device: LocalId,
    member: Arc<Member>,
    volume: Arc<Blocks>,
    care: Arc<Care>,
}

impl Description {
    pub(super) fn new(
        member: Arc<Member>,
        volume: Arc<Blocks>,
        care: Arc<Care>,
        policy: StorageHostPolicy,
        failure_labels: Vec<FailureLabel>,
    ) -> Result<Self, HostError> {
        let folder = member.data_dir.display();
        let fault = HostError::system("describing", &folder);
        let device = LocalId::new(DEVICE).map_err(std::io::Error::other);
        let described = device.and_then(|device| {
            let (kind, root, size) = volume.device(&member.data_dir, policy.max_used_space)?;
            let storage_device = StorageDevice {
                name: device.clone(),
                kind,
                root: Text::new(&root).map_err(std::io::Error::other)?,
                size,
                transfer_rate: None,
            };
            Ok((device, storage_device))
        });
        let (device, storage_device) = described.map_err(fault)?;
        let mut info = info(&member, storage_device);
        info.failure_labels = failure_labels;
        Ok(Self {
            info,
            policy,
            device,
            member,
            volume,
            care,
        })
    }

    /// The whole of it.
    pub(super) fn host(&self, is_idle: bool) -> StorageHost {
        StorageHost {
            id: self.member.profile.id(),
            info: self.info.clone(),
            state: Some(self.state(is_idle)),
            policy: self.policy.clone(),
            access: Profile::access(),
        }
    }

    /// What changes.
    pub(super) fn state(&self, is_idle: bool) -> StorageHostState {
        let damaged = self.volume.damaged().len() as u64;
        let device = self.device();
        let (health, complaint) = self.health(damaged, &device);
        let serving = self.member.serving_state(is_idle);
        let common = self
            .member
            .profile
            .common_state(serving, health, complaint.as_deref());
        let validity = self.member.validity();
        let mut state = StorageHostState::new(UtcTime::now(), validity, common, vec![device]);
        state.block_count = Some(self.volume.blocks() as u64);
        state.damaged_block_count = Some(damaged);
        state.last_scrub_time = self.care.last_scrub();
        state
    }

    fn device(&self) -> StorageDeviceState {
        let space = self.volume.space();
        let folder = &self.member.data_dir;
        let room = self.volume.room(folder, self.policy.max_used_space);
        let (quota, is_read_only) = room.unwrap_or((0, true));
        let read_only = self.volume.complaint().is_some() || is_read_only;
        StorageDeviceState {
            name: self.device.clone(),
            available_space: if read_only {
                0
            } else {
                quota.saturating_sub(space.used)
            },
            used_space: space.used,
            reserved_space: 0,
            read_only,
        }
    }

    fn health(&self, damaged: u64, device: &StorageDeviceState) -> (HealthState, Option<String>) {
        if let Some(unreachable) = self.member.unreachable() {
            return (HealthState::Critical, Some(unreachable.to_owned()));
        }
        if let Some(why) = self.volume.complaint() {
            return (HealthState::Critical, Some(why));
        }
        if self.member.disk_watch.is_failing() {
            return (HealthState::Critical, Some(COMPLAINT.to_owned()));
        }
        // Nobody has tried to write since.
        if device.read_only {
            return (HealthState::Critical, Some(READ_ONLY.to_owned()));
        }
        if damaged > 0 {
            let complaint = format!(
                "{damaged} blocks are damaged and not served; its Element makes them good from the other Hosts"
            );
            return (HealthState::Warning, Some(complaint));
        }
        if device.available_space == 0 {
            return (HealthState::Warning, Some(FULL.to_owned()));
        }
        (HealthState::Ok, None)
    }
}

fn info(member: &Member, storage_device: StorageDevice) -> StorageHostInfo {
    let MachineFacts {
        host_name,
        architecture,
        operating_system,
        network_adapters,
        ..
    } = member.profile.facts();
    let profile = &member.profile;
    let mut info = StorageHostInfo::new(
        profile.common_info("https", "/v1/blocks", CAPABILITY),
        profile.element(),
        host_name,
        architecture,
        operating_system,
        storage_device,
    );
    info.network_adapters = network_adapters;
    info
}
