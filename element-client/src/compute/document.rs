//! `CEDoc.xml` as the information base of a Computing Element.

use gridmart_fabric::{door::advertised::host_of, identity::NodeIdentity};
use gridmart_schemas::{
    resource::{
        ce::{CeInfo, CePolicy, ComputingElement},
        ce_doc::{ApplicationEntry, CeDocument},
        common::CommonInfo,
        element_doc::{CommonConfiguration, HostEntry, JoinTokens},
        enumeration::{LrmsType, SchedulingPolicy},
        host::{ComputeHost, HostState},
    },
    scalar::{Port, Seconds, Uri},
    wire::desired::{ElementDesired, Wish},
};

use super::queue::{Settings, limit::Limits};
use crate::{
    config::Config,
    element::{
        description::{self, unfit},
        goods::{ElementDocument, TableHost},
    },
    run::{ElementError, reached_by},
};

/// Waiting entries of a new Element, until its owner says otherwise.
const MAX_WAITING_JOBS: u32 = 10_000;
/// What it can do.
const CAPABILITIES: &[&str] = &[
    "executionmanagement.jobexecution",
    "executionmanagement.jobmanager",
];

impl TableHost for ComputeHost {
    type State = HostState;

    fn id(&self) -> &Uri {
        &self.id
    }

    fn without_state(&self) -> Self {
        Self {
            state: None,
            ..self.clone()
        }
    }
}

impl ElementDocument for CeDocument {
    type Host = ComputeHost;

    fn common_info(&self) -> &CommonInfo {
        &self.element.info.common
    }

    fn door_port(&self) -> Option<u16> {
        self.element.info.gatekeeper_port.map(Port::get)
    }

    fn set_door(&mut self, port: u16, endpoints: Vec<Uri>) {
        self.element.info.gatekeeper_port = Port::new(port);
        self.element.info.common.endpoints = endpoints;
    }

    fn common_configuration(&self) -> &CommonConfiguration {
        &self.configuration.common
    }

    fn reattach_grace(&self) -> Seconds {
        self.configuration.reattach_grace
    }

    fn set_wish(&mut self, wish: Wish) {
        self.wish = wish;
    }

    fn hosts(&self) -> &[HostEntry<ComputeHost>] {
        &self.host_table.hosts
    }

    fn hosts_mut(&mut self) -> &mut Vec<HostEntry<ComputeHost>> {
        &mut self.host_table.hosts
    }

    fn join_tokens(&self) -> &JoinTokens {
        &self.join_tokens
    }

    fn join_tokens_mut(&mut self) -> &mut JoinTokens {
        &mut self.join_tokens
    }

    fn show_offers(&mut self, desired: &ElementDesired) {
        let shown = desired.applications.iter().filter_map(|wish| {
            let (Ok(app_name), Ok(app_version)) = (wish.name.parse(), wish.version.parse()) else {
                tracing::warn!(
                    name = wish.name,
                    version = wish.version,
                    "an application's name does not fit into the information base"
                );
                return None;
            };
            let mut entries = self.applications.applications.iter();
            let known = entries.find(|entry| entry.digest == wish.digest);
            Some(ApplicationEntry {
                digest: wish.digest.clone(),
                app_name,
                app_version,
                size: Some(wish.size),
                wish: wish.wish,
                extensions: known
                    .map(|entry| entry.extensions.clone())
                    .unwrap_or_default(),
            })
        });
        self.applications.applications = shown.collect();
    }
}

/// Settings of the queue, as the information base says.
pub(super) fn settings_of(document: &CeDocument) -> Settings {
    Settings {
        limits: Limits::of(&document.element.policy),
        reattach_grace: document.configuration.reattach_grace.to_duration(),
        response_time_floor: document
            .configuration
            .common
            .response_time_floor
            .to_duration(),
    }
}

/// The Element's description, with what is installed summed up from the Host
/// table.
pub(super) fn described(document: &CeDocument) -> ComputingElement {
    let mut element = document.element.clone();
    let hosts = || document.host_table.hosts.iter().map(|entry| &entry.host);
    if hosts().next().is_none() {
        return element;
    }
    let cpus: u32 = hosts()
        .map(|host| host.info.architecture.smp_size.get())
        .sum();
    let sockets = |host: &ComputeHost| {
        let processor = host.info.processor.as_ref();
        processor.and_then(|processor| processor.physical_cpus)
    };
    element.info.total_logical_cpus = Some(cpus);
    element.info.total_physical_cpus = hosts()
        .map(sockets)
        .sum::<Option<u32>>()
        .filter(|sockets| *sockets <= cpus);
    element
}

/// The information base of a new Element.
pub(super) fn first_document(
    config: &Config,
    identity: &NodeIdentity,
) -> Result<CeDocument, ElementError> {
    let common = description::common_info(config, identity, CAPABILITIES)?;
    let reached = reached_by(config, config.listen);
    let machine = host_of(&reached).parse().map_err(unfit("address"))?;
    let mut info = CeInfo::new(common, LrmsType::Fork, machine);
    info.bulk_submission = Some(true);
    let policy = CePolicy {
        max_waiting_jobs: Some(MAX_WAITING_JOBS),
        scheduling_policy: Some(SchedulingPolicy::Fairshare),
        ..CePolicy::default()
    };
    let mut document = CeDocument::new(ComputingElement {
        id: description::element_id(identity)?,
        info,
        state: None,
        policy,
        access: description::open_access(),
    });
    document.configuration.common = description::common_configuration();
    Ok(document)
}
