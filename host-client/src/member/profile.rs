//! What descriptions of all kinds of Hosts say alike.

use std::time::Duration;

use gridmart_schemas::{
    id::NodeId,
    resource::{
        common::{AccessControlBase, AccessRule, CommonInfo, CommonState, Who},
        enumeration::{HealthState, ServingState},
    },
    role::Desired,
    scalar::{LocalId, Seconds, Text, Token, Uri, UtcTime},
};
use parking_lot::Mutex;

use crate::facts::{Machine, MachineFacts, MachineState};

/// A state is a fact for so many heartbeats.
const VALID_HEARTBEATS: u64 = 3;

/// Who the Host is, and what it runs on.
pub(crate) struct Profile {
    pub(super) name: Token,
    pub(super) domain: LocalId,
    pub(super) node: NodeId,
    pub(super) element: NodeId,
    /// `HOST:PORT` of its door, most preferred first.
    pub(super) endpoints: Vec<String>,
    pub(super) started: UtcTime,
    pub(super) machine: Mutex<Machine>,
}

impl Profile {
    /// The Host's id in documents.
    pub(crate) fn id(&self) -> Uri {
        Uri::from_uuid(self.node.as_uuid())
    }

    /// The Element's id in documents.
    pub(crate) fn element(&self) -> Uri {
        Uri::from_uuid(self.element.as_uuid())
    }

    /// What does not change while the Host runs: `path` of its door is reached
    /// by `scheme`, and `capability` is GLUE's word for what it does.
    pub(crate) fn common_info(&self, scheme: &str, path: &str, capability: &str) -> CommonInfo {
        let mut common = CommonInfo::new(self.name.clone(), self.domain.clone());
        common.implementation_name = Token::new("gridmart").ok();
        common.implementation_version = Token::new(env!("CARGO_PKG_VERSION")).ok();
        common.endpoints = self
            .endpoints
            .iter()
            .filter_map(|endpoint| Uri::new(&format!("{scheme}://{endpoint}{path}")).ok())
            .collect();
        common.capabilities = Token::new(capability).into_iter().collect();
        common
    }

    /// What changes: how it is, and why it is not wholly well.
    pub(crate) fn common_state(
        &self,
        serving: ServingState,
        health: HealthState,
        complaint: Option<&str>,
    ) -> CommonState {
        let mut common = CommonState::new(serving, health);
        common.health_state_info = complaint.and_then(|complaint| Text::new(complaint).ok());
        common.start_time = Some(self.started);
        common
    }

    /// The Element's rules decide: without one of its own a Host lets nobody in.
    pub(crate) fn access() -> AccessControlBase {
        AccessControlBase::from_rules(vec![AccessRule::new(Who::All)])
    }

    /// The machine, as it does not change.
    pub(crate) fn facts(&self) -> MachineFacts {
        self.machine.lock().facts()
    }

    /// The machine, as it is now.
    pub(crate) fn machine_state(&self) -> MachineState {
        self.machine.lock().state()
    }
}

/// For how long a State is a fact.
pub(super) fn validity(heartbeat: Duration) -> Seconds {
    Seconds::from_duration(heartbeat.saturating_mul(u32::try_from(VALID_HEARTBEATS).unwrap_or(1)))
}

/// A stopped Host drains until nothing is being done any more.
pub(super) const fn serving_state(desired: Desired, idle: bool) -> ServingState {
    match (desired, idle) {
        (Desired::Production, _) => ServingState::Production,
        (Desired::Closed, false) => ServingState::Draining,
        (Desired::Closed, true) => ServingState::Closed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_host_drains_first() {
        assert_eq!(
            serving_state(Desired::Production, true),
            ServingState::Production
        );
        assert_eq!(
            serving_state(Desired::Closed, false),
            ServingState::Draining
        );
        assert_eq!(serving_state(Desired::Closed, true), ServingState::Closed);
    }
}
