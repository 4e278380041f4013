//! A queue with Hosts, applications and a clock, for tests.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{Digest, EntryId, Incarnation, KeyHash, LeaseId, NodeId, PersonName},
    problem::Code,
    resource::{
        common::{AccessControlBase, AccessRule, CommonInfo, CommonState, Who},
        enumeration::{HealthState, OsFamily, Platform, ServingState},
        host::{
            Architecture, ComputeHost, HostInfo, HostPolicy, HostState, MainMemory, OperatingSystem,
        },
    },
    role::Role,
    scalar::{Seconds, UtcTime},
    wire::desired::{ApplicationWish, ElementDesired, Wish},
};

use super::{
    Queue, Settings,
    application::Manifest,
    effect::Effect,
    entry::{Asker, EntryKey, Epochs, SessionId, Wanted},
    limit::Limits,
    pool::HostArrival,
};

pub(super) fn digest(number: u8) -> Digest {
    Digest::from_blake3([number; 32])
}

pub(super) fn key(number: u64) -> KeyHash {
    format!("{number:064x}").parse().unwrap()
}

pub(super) fn person(number: u64) -> PersonName {
    format!("p{number}").parse().unwrap()
}

pub(super) fn state(slots: u32) -> HostState {
    let common = CommonState::new(ServingState::Production, HealthState::Ok);
    HostState::new(UtcTime::now(), Seconds::from_secs(15), common, slots)
}

pub(super) fn host_named(id: NodeId, name: &str, slots: u32) -> ComputeHost {
    let common = CommonInfo::new(name.parse().unwrap(), "lab".parse().unwrap());
    let info = HostInfo::new(
        common,
        NodeId::generate().to_urn().parse().unwrap(),
        name.parse().unwrap(),
        Architecture {
            platform_type: Platform::Amd64,
            smp_size: 4.try_into().unwrap(),
        },
        MainMemory {
            ram_size: 8 << 30,
            virtual_size: None,
        },
        OperatingSystem {
            family: OsFamily::Linux,
            name: "debian".parse().unwrap(),
            release: None,
            version: None,
        },
    );
    ComputeHost {
        id: id.to_urn().parse().unwrap(),
        info,
        state: Some(state(slots)),
        policy: HostPolicy::default(),
        access: AccessControlBase::from_rules(vec![AccessRule::new(Who::All)]),
    }
}

pub(super) fn application(number: u8, wish: Wish) -> ApplicationWish {
    ApplicationWish {
        digest: digest(number),
        name: format!("app{number}"),
        version: "1".into(),
        size: 1,
        wish,
    }
}

/// A queue with Hosts and applications, and a clock.
pub(crate) struct Scene {
    pub(crate) queue: Queue,
    pub(crate) now: Instant,
    pub(crate) hosts: Vec<NodeId>,
    pub(crate) desired: ElementDesired,
    pub(super) effects: Vec<Effect>,
    pub(super) entries: u64,
}

impl Scene {
    /// Hosts with so many slots each; applications 0 and 1 are there, ready.
    pub(crate) fn new(slots: &[u32], limits: Limits) -> Self {
        let settings = Settings {
            limits,
            reattach_grace: Duration::from_secs(30),
            response_time_floor: Duration::from_secs(5),
        };
        let mut scene = Self {
            queue: Queue::new(settings),
            now: Instant::now(),
            hosts: Vec::new(),
            desired: ElementDesired::default(),
            effects: Vec::new(),
            entries: 0,
        };
        scene.desired.applications = vec![
            application(0, Wish::default()),
            application(1, Wish::default()),
        ];
        scene.desire();
        for number in 0..2 {
            scene
                .queue
                .on_application_known(&digest(number), Manifest::default(), scene.now);
        }
        for slots in slots {
            scene.add_host(*slots);
        }
        scene.effects();
        scene
    }

    pub(super) fn desire(&mut self) {
        self.queue.on_desired(&self.desired.clone(), self.now);
    }

    pub(super) fn add_host(&mut self, slots: u32) -> NodeId {
        let id = NodeId::generate();
        self.hosts.push(id);
        self.arrive(id, slots, Incarnation::generate());
        id
    }

    pub(super) fn arrive(
        &mut self,
        id: NodeId,
        slots: u32,
        incarnation: Incarnation,
    ) -> Vec<LeaseId> {
        let arrival = HostArrival {
            id,
            incarnation,
            description: Arc::new(host_named(id, &format!("h-{id}"), slots)),
            endpoints: vec!["h:1".into()],
            relayed: false,
            leases: Vec::new(),
            deployments: Vec::new(),
        };
        self.queue.on_host_arrived(arrival, self.now)
    }

    pub(super) fn wanted(&mut self, who: u64, app: u8, slots: u32) -> Wanted {
        self.entries += 1;
        Wanted {
            key: EntryKey {
                session: SessionId(who),
                entry: EntryId::generate(),
            },
            asker: Arc::new(Asker {
                needs: Vec::new(),
                person: person(who),
                role: Role::User,
                domain: None,
                presenter: key(who),
            }),
            digest: digest(app),
            cut: Epochs {
                element: self.desired.wish.cut_epoch,
                host: 0,
                application: self.desired.applications[usize::from(app)].wish.cut_epoch,
            },
            slots,
            job: None,
            hosts_max: None,
            avoid: std::collections::BTreeSet::new(),
            priority: 0,
            request: None,
        }
    }

    pub(crate) fn enter(&mut self, who: u64, app: u8, slots: u32) -> Result<u32, Code> {
        self.queue.on_session_opened(SessionId(who), key(who));
        let wanted = self.wanted(who, app, slots);
        self.queue
            .on_enter(wanted, self.now)
            .map_err(|problem| problem.code)
    }

    /// Takes the effects; applications get ready at once where asked for.
    pub(super) fn effects(&mut self) -> Vec<Effect> {
        loop {
            let new = self.queue.take_effects();
            if new.is_empty() {
                return std::mem::take(&mut self.effects);
            }
            for effect in new {
                if let Effect::Ensure { host, digest } = &effect {
                    self.queue.on_ensured(*host, digest, Ok(()), self.now);
                }
                self.effects.push(effect);
            }
        }
    }

    /// Leases granted lately: to whom, and which.
    pub(super) fn granted(&mut self) -> Vec<(u64, LeaseId)> {
        let granted = |effect: Effect| match effect {
            Effect::Granted { entry, lease } => Some((entry.session.0, lease)),
            _ => None,
        };
        self.effects().into_iter().filter_map(granted).collect()
    }

    pub(super) fn recalled(&mut self) -> Vec<LeaseId> {
        let recalled = |effect: Effect| match effect {
            Effect::Recalled { lease, .. } => Some(lease),
            _ => None,
        };
        self.effects().into_iter().filter_map(recalled).collect()
    }

    pub(super) fn over(&mut self) -> Vec<(LeaseId, Code)> {
        let over = |effect: Effect| match effect {
            Effect::Over { lease, problem, .. } => Some((lease, problem.code)),
            _ => None,
        };
        self.effects().into_iter().filter_map(over).collect()
    }

    pub(super) fn slots_of(&self, lease: LeaseId) -> u32 {
        self.queue.leases().get(lease).unwrap().slots
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        for id in self.hosts.clone() {
            self.queue.on_host_heard(
                id,
                &state(self.queue.host(id).unwrap().slots),
                &[],
                self.now,
            );
        }
        self.queue.on_tick(self.now);
    }
}
