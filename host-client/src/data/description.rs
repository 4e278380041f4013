//! The data Host's description: what it is, and how it is.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use gridmart_schemas::{
    resource::{
        enumeration::{DataEngine, HealthState},
        host::{DataHost, DataHostInfo, DataHostPolicy, DataHostState, EngineInfo},
    },
    scalar::{Token, UtcTime},
};
use rustix::fs::statvfs;

use super::door::Databases;
use crate::{
    facts::MachineFacts,
    member::{COMPLAINT, HostError, Profile},
};

/// GLUE's word for what the Host does.
const CAPABILITY: &str = "data.access.relational";

/// Describes the Host, whenever it is asked.
pub(super) struct Description {
    info: DataHostInfo,
    policy: DataHostPolicy,
    folder: PathBuf,
    databases: Arc<Databases>,
}

impl Description {
    pub(super) fn new(
        databases: Arc<Databases>,
        folder: &Path,
        policy: DataHostPolicy,
    ) -> Result<Self, HostError> {
        let profile = &databases.member.profile;
        let version = Token::new(rusqlite::version()).map_err(std::io::Error::other);
        let version = version.map_err(HostError::system("describing", &"SQLite"))?;
        let MachineFacts {
            host_name,
            architecture,
            operating_system,
            network_adapters,
            ..
        } = profile.facts();
        let info = DataHostInfo {
            common: profile.common_info("https", super::follower::PATH, CAPABILITY),
            element: profile.element(),
            host_name,
            architecture,
            operating_system,
            network_adapters,
            engines: vec![EngineInfo {
                name: DataEngine::Sqlite,
                version,
            }],
            extensions: gridmart_schemas::resource::Extensions::default(),
        };
        Ok(Self {
            info,
            policy,
            folder: folder.to_owned(),
            databases,
        })
    }

    fn info(&self) -> DataHostInfo {
        let mut info = self.info.clone();
        info.engines.extend(self.databases.copies.engines());
        info
    }

    /// Whether nothing is being done for anybody.
    pub(super) fn is_idle(&self) -> bool {
        self.databases.running.load(Ordering::Relaxed) == 0
    }

    /// The whole of it.
    pub(super) fn host(&self) -> DataHost {
        DataHost {
            id: self.databases.member.profile.id(),
            info: self.info(),
            state: Some(self.state()),
            policy: self.policy.clone(),
            access: Profile::access(),
        }
    }

    /// What changes.
    pub(super) fn state(&self) -> DataHostState {
        let member = &self.databases.member;
        let replicas = self.databases.copies.states();
        let used_space = replicas.iter().map(|replica| replica.used_size);
        let used_space = used_space.fold(0, u64::saturating_add);
        let (health, complaint) = self.health();
        let serving = member.serving_state(self.is_idle());
        let common = member
            .profile
            .common_state(serving, health, complaint.as_deref());
        let now = UtcTime::now();
        let running = self.databases.running.load(Ordering::Relaxed);
        let space = statvfs(&self.folder);
        DataHostState {
            creation_time: now,
            validity: member.validity(),
            common,
            available_space: space.map_or(0, |space| space.f_bavail.saturating_mul(space.f_frsize)),
            used_space,
            running_requests: u32::try_from(running).unwrap_or(u32::MAX),
            replicas,
            worst_response_time: None,
            last_heartbeat: now,
            extensions: gridmart_schemas::resource::Extensions::default(),
        }
    }

    fn health(&self) -> (HealthState, Option<String>) {
        let member = &self.databases.member;
        if let Some(unreachable) = member.unreachable() {
            return (HealthState::Critical, Some(unreachable.to_owned()));
        }
        if let Some(why) = self.databases.copies.complaint() {
            return (HealthState::Critical, Some(why));
        }
        if member.disk_watch.is_failing() {
            return (HealthState::Critical, Some(COMPLAINT.to_owned()));
        }
        (HealthState::Ok, None)
    }
}
