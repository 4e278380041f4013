//! The Host's description: what it is, how it is, what is deployed on it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use gridmart_schemas::{
    id::{Digest, NodeId},
    resource::{
        common::{AccessControlBase, AccessRule, CommonInfo, CommonState, Who},
        enumeration::{AppEnvState, HealthState, Sandbox, ServingState},
        host::{ComputeHost, HostInfo, HostState},
    },
    role::Desired,
    scalar::{LocalId, Seconds, Text, Token, Uri, UtcTime},
    wire::{control_element::Deployment, desired::Wish},
};
use parking_lot::Mutex;

use super::{
    command::Commands,
    deploy::Deployer,
    disk_watch::COMPLAINT,
    leases::Leases,
    relay::{self, Relay},
    sandbox::Confinement,
    services::Services,
};
use crate::facts::{Machine, MachineFacts};

/// GLUE's word for what the Host does.
const CAPABILITY: &str = "executionmanagement.jobexecution";
/// A state is a fact for so many heartbeats.
const VALID_HEARTBEATS: u64 = 3;

/// Describes the Host, whenever it is asked.
pub(crate) struct Description {
    info: HostInfo,
    id: NodeId,
    started: UtcTime,
    machine: Mutex<Machine>,
    services: Arc<Services>,
    leases: Arc<Leases>,
    deployer: Arc<Deployer>,
    commands: Arc<Commands>,
    /// Why it is not wholly well, if it is not.
    complaint: Option<String>,
    /// How programs come, if not by dialling.
    relay: Option<Arc<Relay>>,
}

/// What a description is made of.
pub(crate) struct DescriptionParts {
    pub(crate) name: Token,
    pub(crate) domain: LocalId,
    pub(crate) element: NodeId,
    pub(crate) endpoints: Vec<String>,
    pub(crate) machine: Machine,
    pub(crate) services: Arc<Services>,
    pub(crate) leases: Arc<Leases>,
    pub(crate) deployer: Arc<Deployer>,
    pub(crate) complaint: Option<String>,
    pub(crate) relay: Option<Arc<Relay>>,
}

impl Description {
    pub(crate) fn new(parts: DescriptionParts) -> Self {
        let facts = parts.machine.facts();
        let sandbox = match parts
            .services
            .sandboxes
            .as_ref()
            .map(|maker| &maker.confinement)
        {
            Ok(Confinement::Bubblewrap(_)) => Sandbox::Bubblewrap,
            Ok(Confinement::Unconfined) | Err(_) => Sandbox::None,
        };
        let mut common = CommonInfo::new(parts.name, parts.domain);
        common.implementation_name = Token::new("gridmart").ok();
        common.implementation_version = Token::new(env!("CARGO_PKG_VERSION")).ok();
        common.endpoints = parts
            .endpoints
            .iter()
            .filter_map(|endpoint| Uri::new(&format!("wss://{endpoint}/v1/calls")).ok())
            .collect();
        common.capabilities = Token::new(CAPABILITY).into_iter().collect();
        let mut info = info(common, parts.element, facts, sandbox);
        info.relayed = parts.relay.as_ref().map(|_| true);
        Self {
            info,
            id: parts.services.host,
            started: UtcTime::now(),
            machine: Mutex::new(parts.machine),
            commands: Arc::clone(&parts.services.commands),
            services: parts.services,
            leases: parts.leases,
            deployer: parts.deployer,
            complaint: parts.complaint,
            relay: parts.relay,
        }
    }

    /// The whole of it.
    pub(crate) fn host(&self, heartbeat: Duration) -> ComputeHost {
        ComputeHost {
            id: Uri::from_uuid(self.id.as_uuid()),
            info: self.info.clone(),
            state: Some(self.state(heartbeat)),
            policy: self.services.policy.clone(),
            // The Element's rules decide: without one of its own a Host lets nobody in.
            access: AccessControlBase::from_rules(vec![AccessRule::new(Who::All)]),
        }
    }

    /// What changes.
    pub(crate) fn state(&self, heartbeat: Duration) -> HostState {
        let machine = self.machine.lock().state();
        let mut common = CommonState::new(self.serving_state(), self.health_state());
        common.health_state_info = self
            .complaint()
            .and_then(|complaint| Text::new(complaint).ok());
        common.start_time = Some(self.started);
        let validity = Seconds::from_duration(
            heartbeat.saturating_mul(u32::try_from(VALID_HEARTBEATS).unwrap_or(1)),
        );
        let total = self.services.slots_total;
        let mut state = HostState::new(UtcTime::now(), validity, common, total);
        state.used_slots = self.services.slots_used();
        state.running_jobs = state.used_slots;
        let takes_calls =
            self.serving_state() == ServingState::Production && self.services.sandboxes.is_ok();
        state.free_job_slots = if takes_calls {
            total.saturating_sub(state.used_slots)
        } else {
            0
        };
        state.main_memory = machine.main_memory;
        state.file_systems = machine.file_systems;
        state.load_average = machine.load_average;
        state.worst_response_time = Some(Seconds::from_duration(
            self.services.recent.worst_response_time(),
        ));
        let jobs = self.services.recent.jobs();
        state.recent_job_starts = Some(jobs.starts);
        state.recent_job_failures = Some(jobs.failures);
        state.recent_job_busy_time_avg = jobs.busy_avg.map(Seconds::from_duration);
        state
    }

    /// A stopped Host is draining until its last call has ended; one that
    /// nobody can reach is as good as stopped.
    pub(crate) fn serving_state(&self) -> ServingState {
        let desired = if self.is_reachable() {
            self.commands.host().desired
        } else {
            Desired::Closed
        };
        serving_state(desired, self.leases.is_idle())
    }

    /// Whether programs can come at all.
    fn is_reachable(&self) -> bool {
        self.relay.as_ref().is_none_or(|relay| relay.is_served())
    }

    fn complaint(&self) -> Option<&str> {
        if !self.is_reachable() {
            Some(relay::UNSERVED)
        } else if self.services.disk_watch.is_failing() {
            Some(COMPLAINT)
        } else {
            self.complaint.as_deref()
        }
    }

    fn health_state(&self) -> HealthState {
        let is_broken = self.services.sandboxes.is_err() || self.services.disk_watch.is_failing();
        if is_broken || !self.is_reachable() {
            HealthState::Critical
        } else if self.complaint.is_some() {
            HealthState::Warning
        } else {
            HealthState::Ok
        }
    }

    /// All applications that are here, or should be.
    pub(crate) fn deployments(&self) -> Vec<Deployment> {
        let wishes: BTreeMap<Digest, Wish> = self
            .commands
            .applications()
            .into_iter()
            .map(|wish| (wish.digest, wish.wish))
            .collect();
        let states = self.deployer.states();
        let mut deployments: Vec<_> = states
            .iter()
            .map(|state| {
                let wish = wishes.get(&state.digest).copied();
                deployment(
                    state.digest.clone(),
                    &state.state,
                    state.reason.clone(),
                    wish,
                )
            })
            .collect();
        for (digest, wish) in wishes {
            if !states.iter().any(|state| state.digest == digest) {
                deployments.push(deployment(
                    digest,
                    &AppEnvState::Installable,
                    None,
                    Some(wish),
                ));
            }
        }
        deployments
    }

    /// One application, as it is now.
    pub(crate) fn deployment(&self, digest: &Digest) -> Deployment {
        let found = self
            .deployments()
            .into_iter()
            .find(|deployment| deployment.digest == *digest);
        found.unwrap_or_else(|| deployment(digest.clone(), &AppEnvState::Installable, None, None))
    }

    /// Generation of the Host's own wish that is in force.
    pub(crate) fn generation(&self) -> u64 {
        self.commands.host().generation
    }
}

fn deployment(
    digest: Digest,
    state: &AppEnvState,
    reason: Option<String>,
    wish: Option<Wish>,
) -> Deployment {
    let wish = wish.unwrap_or_default();
    Deployment {
        digest,
        state: state.as_str().to_owned(),
        generation: wish.generation,
        serving: wish.desired,
        reason,
    }
}

const fn serving_state(desired: Desired, idle: bool) -> ServingState {
    match (desired, idle) {
        (Desired::Production, _) => ServingState::Production,
        (Desired::Closed, false) => ServingState::Draining,
        (Desired::Closed, true) => ServingState::Closed,
    }
}

fn info(common: CommonInfo, element: NodeId, facts: MachineFacts, sandbox: Sandbox) -> HostInfo {
    let MachineFacts {
        host_name,
        architecture,
        processor,
        main_memory,
        operating_system,
        network_adapters,
        virtual_machine,
        file_systems,
    } = facts;
    let element = Uri::from_uuid(element.as_uuid());
    let mut info = HostInfo::new(
        common,
        element,
        host_name,
        architecture,
        main_memory,
        operating_system,
    );
    info.processor = Some(processor);
    info.network_adapters = network_adapters;
    info.virtual_machine = virtual_machine;
    info.sandbox = Some(sandbox);
    info.file_systems = file_systems;
    info
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
