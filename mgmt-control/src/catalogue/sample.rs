//! A small grid for tests of decisions: built by hand, no store, no network.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{Digest, Incarnation, NodeId},
    resource::{
        ae::{AeInfo, Capability, Command},
        ae_doc::AeDocument,
        any::{AnyElement, AnyElementState, AnyHost},
        ce::{CeInfo, CeState, ComputingElement},
        common::{AccessControlBase, AccessRule, CommonInfo, CommonState},
        enumeration::{AeKind, HealthState, LrmsType, OsFamily, Platform, ServingState},
        host::{Architecture, ComputeHost, HostInfo, HostState, MainMemory, OperatingSystem},
    },
    role::{NodeKind, Role},
    scalar::{Seconds, Uri, UtcTime},
    wire::desired::Wish,
};
use time::OffsetDateTime;

use super::{
    Snapshot, View,
    application::Application,
    node::{Element, Host, Node},
    observed::{ElementObserved, HostObserved, Observed},
};
use crate::{access::deployment::element_desired, app::context::Actor};

/// Fresh for this long.
const VALIDITY: Seconds = Seconds::from_secs(6);

/// A grid in the making.
#[derive(Clone, Default)]
pub(crate) struct Sample {
    pub(crate) catalogue: Snapshot,
    pub(crate) observed: Observed,
}

/// What differs between Hosts.
#[derive(Clone, Copy)]
pub(crate) struct HostFacts {
    pub(crate) memory: u64,
    pub(crate) cpus: u32,
    pub(crate) platform: &'static str,
}

impl Default for HostFacts {
    fn default() -> Self {
        Self {
            memory: 8 << 30,
            cpus: 4,
            platform: "amd64",
        }
    }
}

pub(crate) fn rules(texts: &[&str]) -> AccessControlBase {
    AccessControlBase::from_rules(
        texts
            .iter()
            .map(|text| AccessRule::new(text.parse().unwrap()))
            .collect(),
    )
}

pub(crate) fn actor(name: &str, role: Role) -> Actor {
    Actor {
        name: name.parse().unwrap(),
        role,
        domain: None,
    }
}

fn node(id: NodeId, kind: NodeKind, name: &str, domain: &str, parent: NodeId) -> Node {
    Node {
        id,
        kind,
        domain: domain.to_owned(),
        name: name.to_owned(),
        parent,
        joined: OffsetDateTime::UNIX_EPOCH,
        not_after: OffsetDateTime::now_utc() + time::Duration::days(7),
        revoked: false,
        wish: Wish::default(),
    }
}

fn common(name: &str, domain: &str) -> CommonInfo {
    CommonInfo::new(name.parse().unwrap(), domain.parse().unwrap())
}

fn well() -> CommonState {
    CommonState::new(ServingState::Production, HealthState::Ok)
}

/// The State that a Computing Element was heard to have.
pub(crate) fn computing_state(heard: &mut ElementObserved) -> &mut CeState {
    match &mut heard.state {
        Some(AnyElementState::Computing(state)) => state,
        other => panic!("{other:?} is no Computing Element's"),
    }
}

impl Sample {
    /// Adds an Element for everybody, heard just now.
    pub(crate) fn element(&mut self, name: &str, domain: &str, free_slots: u32) -> NodeId {
        let id = NodeId::generate();
        let info = CeInfo::new(
            common(name, domain),
            LrmsType::Fork,
            "localhost".parse().unwrap(),
        );
        let description = ComputingElement {
            id: Uri::from_uuid(id.as_uuid()),
            info,
            state: None,
            policy: gridmart_schemas::resource::ce::CePolicy::default(),
            access: rules(&["ALL"]),
        };
        self.catalogue.put_node(node(
            id,
            NodeKind::ComputingElement,
            name,
            domain,
            NodeId::generate(),
        ));
        self.catalogue.put_element(Element {
            id,
            endpoints: vec![format!("{name}:1")],
            description: description.into(),
        });
        let mut state = CeState::new(UtcTime::now(), VALIDITY, well());
        state.total_slots = free_slots;
        state.free_job_slots = free_slots;
        let heard = ElementObserved {
            stream: 1,
            connected: true,
            incarnation: Incarnation::generate(),
            software: String::new(),
            heard: Instant::now(),
            state: Some(state.into()),
            deployments: Vec::new(),
            applied: 0,
            recorded: None,
        };
        self.observed.elements.insert(id, Arc::new(heard));
        id
    }

    /// Adds a Host for everybody, heard just now.
    pub(crate) fn host(&mut self, element: NodeId, name: &str, facts: HostFacts) -> NodeId {
        let id = NodeId::generate();
        let domain = self.catalogue.nodes[&element].domain.clone();
        let info = HostInfo::new(
            common(name, &domain),
            Uri::from_uuid(element.as_uuid()),
            name.parse().unwrap(),
            Architecture {
                platform_type: Platform::from_rust(facts.platform).unwrap(),
                smp_size: NonZeroU32::new(facts.cpus).unwrap(),
            },
            MainMemory {
                ram_size: facts.memory,
                virtual_size: None,
            },
            OperatingSystem {
                family: OsFamily::Linux,
                name: "debian".parse().unwrap(),
                release: None,
                version: None,
            },
        );
        let description = ComputeHost {
            id: Uri::from_uuid(id.as_uuid()),
            info,
            state: None,
            policy: gridmart_schemas::resource::host::HostPolicy::default(),
            access: rules(&["ALL"]),
        };
        self.catalogue
            .put_node(node(id, NodeKind::ComputeHost, name, &domain, element));
        self.catalogue.put_host(Host {
            id,
            element,
            description: description.into(),
        });
        let heard = HostObserved {
            element,
            connected: true,
            stated_age: Duration::ZERO,
            state: Some(HostState::new(UtcTime::now(), VALIDITY, well(), facts.cpus).into()),
            deployments: Vec::new(),
            applied: 0,
        };
        self.observed.hosts.insert(id, Arc::new(heard));
        id
    }

    /// Adds an application for everybody, the default if it is the first.
    pub(crate) fn application(
        &mut self,
        name: &str,
        version: &str,
        capability: Option<(&str, &str)>,
    ) -> Digest {
        let digest =
            Digest::from_blake3(*blake3::hash(format!("{name}@{version}").as_bytes()).as_bytes());
        let mut info = AeInfo::new(
            name.parse().unwrap(),
            version.parse().unwrap(),
            AeKind::Task,
        );
        info.capabilities
            .extend(capability.map(|(name, version)| Capability {
                name: name.parse().unwrap(),
                version: version.parse().unwrap(),
            }));
        let mut manifest = AeDocument::new(info, Command::new("run".parse().unwrap()));
        manifest.access = rules(&["ALL"]);
        let default = self.catalogue.default_version(name).is_none();
        self.catalogue.generation += 1;
        self.catalogue.put_application(Application {
            digest: digest.clone(),
            name: name.to_owned(),
            version: version.to_owned(),
            size: 1,
            manifest,
            owner: "olga".parse().unwrap(),
            uploaded: OffsetDateTime::UNIX_EPOCH,
            default,
            wish: Wish {
                generation: self.catalogue.generation,
                ..Wish::default()
            },
        });
        digest
    }

    pub(crate) fn change_node(&mut self, id: NodeId, change: impl FnOnce(&mut Node)) {
        let mut node = Node::clone(&self.catalogue.nodes[&id]);
        change(&mut node);
        self.catalogue.put_node(node);
    }

    pub(crate) fn change_element(
        &mut self,
        id: NodeId,
        change: impl FnOnce(&mut ComputingElement),
    ) {
        let mut element = Element::clone(&self.catalogue.elements[&id]);
        let AnyElement::Computing(description) = &mut element.description else {
            panic!("{id} is no Computing Element");
        };
        change(description);
        self.catalogue.put_element(element);
    }

    pub(crate) fn change_host(&mut self, id: NodeId, change: impl FnOnce(&mut ComputeHost)) {
        let mut host = Host::clone(&self.catalogue.hosts[&id]);
        let AnyHost::Compute(description) = &mut host.description else {
            panic!("{id} is no compute Host");
        };
        change(description);
        self.catalogue.put_host(host);
    }

    pub(crate) fn change_application(
        &mut self,
        digest: &Digest,
        change: impl FnOnce(&mut Application),
    ) {
        let mut application = Application::clone(&self.catalogue.applications[digest]);
        change(&mut application);
        self.catalogue.put_application(application);
    }

    pub(crate) fn hear_element(&mut self, id: NodeId, change: impl FnOnce(&mut ElementObserved)) {
        let mut heard = ElementObserved::clone(&self.observed.elements[&id]);
        change(&mut heard);
        self.observed.elements.insert(id, Arc::new(heard));
    }

    pub(crate) fn hear_host(&mut self, id: NodeId, change: impl FnOnce(&mut HostObserved)) {
        let mut heard = HostObserved::clone(&self.observed.hosts[&id]);
        change(&mut heard);
        self.observed.hosts.insert(id, Arc::new(heard));
    }

    /// The view in which every Element has recorded what should be.
    pub(crate) fn view(&self) -> View {
        let mut sample = self.clone();
        let elements: Vec<NodeId> = sample.observed.elements.keys().copied().collect();
        for id in elements {
            let desired = element_desired(&sample.catalogue, id, OffsetDateTime::now_utc());
            sample.hear_element(id, |heard| heard.recorded = Some(Arc::new(desired)));
        }
        sample.raw_view()
    }

    /// The view as it is.
    pub(crate) fn raw_view(&self) -> View {
        View {
            catalogue: Arc::new(self.catalogue.clone()),
            observed: Arc::new(self.observed.clone()),
            now: Instant::now(),
        }
    }
}
