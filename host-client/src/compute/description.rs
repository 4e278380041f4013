//! The Host's description: what it is, how it is, what is deployed on it.

use std::{collections::BTreeMap, sync::Arc};

use gridmart_schemas::{
    id::Digest,
    resource::{
        enumeration::{AppEnvState, HealthState, Sandbox, ServingState},
        host::{ComputeHost, HostInfo, HostState},
    },
    scalar::{Seconds, UtcTime},
    wire::{control_element::Deployment, desired::Wish},
};

use super::{deploy::Deployer, leases::Leases, sandbox::Confinement, services::Services};
use crate::{
    facts::MachineFacts,
    member::{COMPLAINT, Profile},
};

/// GLUE's word for what the Host does.
const CAPABILITY: &str = "executionmanagement.jobexecution";

/// Describes the Host, whenever it is asked.
pub(crate) struct Description {
    info: HostInfo,
    services: Arc<Services>,
    leases: Arc<Leases>,
    deployer: Arc<Deployer>,
    /// Why it is not wholly well, if it is not.
    complaint: Option<String>,
}

impl Description {
    pub(crate) fn new(
        services: Arc<Services>,
        leases: Arc<Leases>,
        deployer: Arc<Deployer>,
        complaint: Option<String>,
    ) -> Self {
        Self {
            info: info(&services),
            services,
            leases,
            deployer,
            complaint,
        }
    }

    /// The whole of it.
    pub(crate) fn host(&self) -> ComputeHost {
        ComputeHost {
            id: self.services.member.profile.id(),
            info: self.info.clone(),
            state: Some(self.state()),
            policy: self.services.policy.clone(),
            access: Profile::access(),
        }
    }

    /// What changes.
    pub(crate) fn state(&self) -> HostState {
        let member = &self.services.member;
        let machine = member.profile.machine_state();
        let serving = member.serving_state(self.leases.is_idle());
        let common = member
            .profile
            .common_state(serving, self.health_state(), self.complaint());
        let total = self.services.slots_total;
        let mut state = HostState::new(UtcTime::now(), member.validity(), common, total);
        state.used_slots = self.services.slots_used();
        state.running_jobs = state.used_slots;
        let takes_calls = serving == ServingState::Production && self.services.sandboxes.is_ok();
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

    fn complaint(&self) -> Option<&str> {
        let member = &self.services.member;
        if let Some(unserved) = member.unreachable() {
            Some(unserved)
        } else if member.disk_watch.is_failing() {
            Some(COMPLAINT)
        } else {
            self.complaint.as_deref()
        }
    }

    fn health_state(&self) -> HealthState {
        let member = &self.services.member;
        let is_broken = self.services.sandboxes.is_err() || member.disk_watch.is_failing();
        if is_broken || member.unreachable().is_some() {
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
            .services
            .member
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

fn info(services: &Services) -> HostInfo {
    let sandbox = match services.sandboxes.as_ref().map(|maker| &maker.confinement) {
        Ok(Confinement::Bubblewrap(_)) => Sandbox::Bubblewrap,
        Ok(Confinement::Unconfined) | Err(_) => Sandbox::None,
    };
    let member = &services.member;
    let MachineFacts {
        host_name,
        architecture,
        processor,
        main_memory,
        operating_system,
        network_adapters,
        virtual_machine,
        file_systems,
    } = member.profile.facts();
    let mut info = HostInfo::new(
        member.profile.common_info("wss", "/v1/calls", CAPABILITY),
        member.profile.element(),
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
    info.relayed = member.is_relayed().then_some(true);
    info
}
