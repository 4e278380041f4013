//! What Hosts say, and what becomes of them.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{Digest, Incarnation, LeaseId, NodeId},
    problem::{Code, Problem},
    resource::{
        enumeration::AppEnvState,
        host::{ComputeHost, HostState},
    },
    wire::{control_element::Deployment, desired::Wish, element_host::HeldLease},
};

use super::{
    Queue, RECALL_PATIENCE,
    effect::Effect,
    entry::Epochs,
    host::{Placement, PoolHost},
};
use crate::compute::lease::{LeaseState, Stage};

type Placements = BTreeMap<Digest, Placement>;

/// A recalled lease that its client does not give back and its Host does not
/// hold is over after this: by then the Host has heard that it is to close it.
const LEFT_BEHIND_AFTER: Duration = RECALL_PATIENCE.saturating_mul(2);

/// What a Host tells when it comes, or comes again.
#[derive(Clone, Debug)]
pub struct HostArrival {
    /// Which.
    pub id: NodeId,
    /// This start of its process.
    pub incarnation: Incarnation,
    /// Its description, State included.
    pub description: Arc<ComputeHost>,
    /// `HOST:PORT` of its calls door.
    pub endpoints: Vec<String>,
    /// It cannot be dialled: programs are joined to it here.
    pub relayed: bool,
    /// Leases that it holds.
    pub leases: Vec<HeldLease>,
    /// Applications that it holds.
    pub deployments: Vec<Deployment>,
}

impl Queue {
    /// A Host of the local information base, not heard yet in this run.
    pub fn on_host_known(
        &mut self,
        id: NodeId,
        description: Arc<ComputeHost>,
        wish: Wish,
        revoked: bool,
    ) {
        let host = self
            .hosts
            .entry(id)
            .or_insert_with(|| PoolHost::new(id, description.clone(), wish));
        host.description = description;
        host.wish = wish;
        host.revoked = revoked;
        // Leases of before the restart may have been taken up first.
        host.held = self
            .leases
            .of_host(id)
            .into_iter()
            .filter_map(|lease| self.leases.get(lease))
            .fold(0, |held, lease| held + lease.slots);
        self.refit(id);
    }

    /// A lease of before this Element's restart, as its journal tells.
    pub fn on_lease_remembered(&mut self, mut lease: LeaseState, now: Instant) {
        lease.session = None;
        lease.entry = None;
        lease.stage = Stage::Active;
        lease.orphan_until = Some(now + self.settings.reattach_grace);
        if self.leases.get(lease.id).is_none() {
            self.adopt(lease);
        }
    }

    /// A Host's stream stands and it has told what it holds. Answers with the
    /// leases that it should end.
    pub fn on_host_arrived(&mut self, arrival: HostArrival, now: Instant) -> Vec<LeaseId> {
        let id = arrival.id;
        let floor = self.settings.response_time_floor;
        // A new stream takes the place of one that stands, or whose loss was not
        // noticed here: what was on its way on that one is asked again.
        if self.hosts.get(&id).is_some_and(|host| host.connected) {
            self.on_host_lost(id, now);
        }
        let host = self
            .hosts
            .entry(id)
            .or_insert_with(|| PoolHost::new(id, arrival.description.clone(), Wish::default()));
        host.description = arrival.description;
        host.endpoints = arrival.endpoints;
        host.relayed = arrival.relayed;
        host.incarnation = Some(arrival.incarnation);
        host.connected = true;
        host.down = false;
        host.placements = placements(&arrival.deployments);
        if let Some(state) = host.description.clone().state.as_ref() {
            host.hear(state, floor, now);
        }
        self.end_leases_of_older_start(id, arrival.incarnation, &arrival.leases, now);
        let mut ended = Vec::new();
        self.forget_ending(id, |_| false);
        for held in &arrival.leases {
            if self.leases.get(held.lease).is_none() {
                if self.leases.has_ended(held.lease) {
                    ended.push(held.lease);
                    self.note_ending(id, held.lease, held.slots);
                } else {
                    self.adopt_held(id, held, now);
                }
            }
        }
        self.hear_leases(id, &arrival.leases, now);
        self.refit(id);
        self.dispatch(now);
        ended
    }

    /// Leases of a process that is gone: what ran under them is gone, too.
    fn end_leases_of_older_start(
        &mut self,
        host: NodeId,
        now_is: Incarnation,
        held: &[HeldLease],
        now: Instant,
    ) {
        let problem = Problem::new(
            Code::HostRestarted,
            "The Host has started anew; what ran under the lease is lost.",
        );
        for id in self.leases.of_host(host) {
            let Some(lease) = self.leases.get_mut(id) else {
                continue;
            };
            let told = held.iter().any(|held| held.lease == id);
            if told
                || lease
                    .incarnation
                    .is_none_or(|incarnation| incarnation == now_is)
            {
                lease.incarnation = Some(now_is);
            } else {
                self.end_lease(id, &problem, None, now);
            }
        }
    }

    /// Counts a lease of before this Element's restart that only its Host
    /// knows; its client has the reattach grace to show itself.
    fn adopt_held(&mut self, host: NodeId, held: &HeldLease, now: Instant) {
        let version = self
            .applications
            .get(&held.digest)
            .map(|application| application.version.clone());
        let lease = LeaseState {
            id: held.lease,
            host,
            person: held.owner.clone(),
            presenter: None,
            digest: held.digest.clone(),
            application: held.application.clone(),
            version: version.unwrap_or_default(),
            slots: held.slots,
            job: None,
            // The Host itself ends what is older than the epochs it is told.
            cut: self.present_epochs(host, &held.digest, Epochs::default()),
            incarnation: self.hosts.get(&host).and_then(|host| host.incarnation),
            request: None,
            session: None,
            entry: None,
            stage: Stage::Active,
            granted: now,
            orphan_until: Some(now + self.settings.reattach_grace),
            attached: held.attached,
            running: held.running.clone(),
        };
        self.adopt(lease);
    }

    /// A Host's heartbeat.
    pub fn on_host_heard(
        &mut self,
        id: NodeId,
        state: &HostState,
        leases: &[HeldLease],
        now: Instant,
    ) {
        let floor = self.settings.response_time_floor;
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        // Whatever a probe has found: it lives.
        host.down = false;
        host.hear(state, floor, now);
        self.forget_ending(id, |ending| leases.iter().any(|held| held.lease == ending));
        for held in leases {
            if self.leases.get(held.lease).is_some() {
                continue;
            }
            if self.leases.has_ended_before(held.lease, now) {
                self.note_ending(id, held.lease, held.slots);
                self.effects.push(Effect::EndOnHost {
                    host: id,
                    lease: held.lease,
                    kill: true,
                    reason: "The lease has ended.".to_owned(),
                });
            } else if !self.leases.has_ended(held.lease) {
                self.adopt_held(id, held, now);
            }
        }
        self.hear_leases(id, leases, now);
        self.end_left_behind(id, leases, now);
        self.reindex(id);
        self.dispatch(now);
    }

    /// A Host holds on to a lease that has ended here: its slots are given to
    /// nobody until the Host is rid of it.
    fn note_ending(&mut self, host: NodeId, lease: LeaseId, slots: u32) {
        if let Some(host) = self.hosts.get_mut(&host) {
            host.ending.insert(lease, slots);
        }
    }

    fn forget_ending(&mut self, host: NodeId, holds: impl Fn(LeaseId) -> bool) {
        if let Some(host) = self.hosts.get_mut(&host) {
            host.ending.retain(|lease, _| holds(*lease));
        }
    }

    /// A Host has ended a lease that it was told to end.
    pub fn on_lease_gone(&mut self, host: NodeId, lease: LeaseId, now: Instant) {
        let known = self.hosts.get_mut(&host);
        if known.is_some_and(|known| known.ending.remove(&lease).is_some()) {
            self.reindex(host);
            self.dispatch(now);
        }
    }

    /// Ends leases that were asked back, are not given back, and that their
    /// Host has closed as it was told: nobody can use them any more.
    fn end_left_behind(&mut self, host: NodeId, told: &[HeldLease], now: Instant) {
        let mut left = self.leases.of_host(host);
        left.retain(|id| {
            let stage = self.leases.get(*id).map(|lease| lease.stage);
            let enforced = matches!(stage, Some(Stage::Recalled { since, enforced: true })
                if now.saturating_duration_since(since) >= LEFT_BEHIND_AFTER);
            enforced && !told.iter().any(|held| held.lease == *id)
        });
        let problem = Problem::new(
            Code::LeaseEnded,
            "The lease was recalled and not given back; its Host has closed it.",
        );
        for id in left {
            // Its ticket begins nothing any more, should it come yet.
            self.end_lease(id, &problem, Some(true), now);
        }
        self.close_again(host, told, now);
    }

    /// Says again to a Host what it seems not to have heard: that a lease which
    /// was asked back, and in which nothing runs, is to be closed.
    fn close_again(&mut self, host: NodeId, told: &[HeldLease], now: Instant) {
        for held in told.iter().filter(|held| held.running.is_empty()) {
            let stage = self.leases.get(held.lease).map(|lease| lease.stage);
            if let Some(Stage::Recalled {
                since,
                enforced: true,
            }) = stage
                && now.saturating_duration_since(since) >= LEFT_BEHIND_AFTER
            {
                self.effects.push(Effect::EndOnHost {
                    host,
                    lease: held.lease,
                    kill: false,
                    reason: "The lease was recalled, since others wait.".to_owned(),
                });
            }
        }
    }

    fn hear_leases(&mut self, host: NodeId, leases: &[HeldLease], now: Instant) {
        let grace = self.settings.reattach_grace;
        for id in self.leases.of_host(host) {
            let Some(lease) = self.leases.get_mut(id) else {
                continue;
            };
            let held = leases.iter().find(|held| held.lease == id);
            lease.attached = held.is_some_and(|held| held.attached);
            lease.running = held.map(|held| held.running.clone()).unwrap_or_default();
            if lease.attached && lease.orphan_until.is_some() {
                lease.orphan_until = Some(now + grace);
            }
        }
    }

    /// A Host's description or applications have changed.
    pub fn on_host_changed(
        &mut self,
        id: NodeId,
        description: Arc<ComputeHost>,
        deployments: &[Deployment],
        now: Instant,
    ) {
        let floor = self.settings.response_time_floor;
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        host.description = description;
        if let Some(state) = host.description.clone().state.as_ref() {
            host.hear(state, floor, now);
        }
        host.placements = told_anew(&mut host.placements, deployments);
        self.refit(id);
        self.dispatch(now);
    }

    /// A Host's stream is lost. That does not mean that it is down: what runs
    /// there runs on, but nothing new goes there.
    pub fn on_host_lost(&mut self, id: NodeId, now: Instant) {
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        host.connected = false;
        let on_the_way: Vec<Digest> = host
            .placements
            .iter()
            .filter(|(_, placement)| **placement == Placement::Ensuring)
            .map(|(digest, _)| digest.clone())
            .collect();
        for digest in &on_the_way {
            host.placements.remove(digest);
        }
        self.reindex(id);
        for digest in on_the_way {
            for lease in self.staged_on(id, &digest) {
                self.drop_lease(lease, now);
            }
        }
        self.dispatch(now);
    }

    /// A probe found a Host dead: all its leases are over.
    pub fn on_host_down(&mut self, id: NodeId, now: Instant) {
        let Some(host) = self.hosts.get_mut(&id) else {
            return;
        };
        host.down = true;
        let problem = Problem::new(
            Code::HostDown,
            format!("The Host {} does not answer.", host.name()),
        );
        self.reindex(id);
        for lease in self.leases.of_host(id) {
            self.end_lease(lease, &problem, None, now);
        }
        self.dispatch(now);
    }

    /// Finds Hosts that were silent for longer than their State is a fact.
    pub(super) fn age_hosts(&mut self, now: Instant) {
        let stale: Vec<NodeId> = self
            .hosts
            .values()
            .filter(|host| host.fresh)
            .filter(|host| {
                host.heard
                    .is_none_or(|heard| now.saturating_duration_since(heard) > host.validity)
            })
            .map(|host| host.id)
            .collect();
        for id in stale {
            if let Some(host) = self.hosts.get_mut(&id) {
                host.fresh = false;
            }
            self.reindex(id);
        }
    }
}

/// What is told, and what is on its way, which is answered by itself.
fn told_anew(known: &mut Placements, deployments: &[Deployment]) -> Placements {
    let mut told = placements(deployments);
    let on_the_way = std::mem::take(known)
        .into_iter()
        .filter(|(_, placement)| !matches!(placement, Placement::Ready));
    told.extend(on_the_way);
    told
}

fn placements(deployments: &[Deployment]) -> Placements {
    deployments
        .iter()
        .filter(|deployment| deployment.state == AppEnvState::Installedverified.as_str())
        .map(|deployment| (deployment.digest.clone(), Placement::Ready))
        .collect()
}
