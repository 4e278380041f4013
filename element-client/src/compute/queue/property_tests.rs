//! Random events: whatever comes in whatever order, no slot is given out
//! twice, limits hold, the counts and indexes are true, epochs are respected,
//! and in the end nobody has waited in vain.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use gridmart_schemas::{
    id::{Incarnation, JobId, LeaseId},
    problem::{Code, Problem},
    role::Desired,
    wire::desired::{HostWish, Wish},
};
use proptest::prelude::*;

use super::{
    Queue,
    effect::Effect,
    entry::{Epochs, SessionId},
    limit::Limits,
    scene::{Scene, key, state},
    session::is_cut,
};
use crate::compute::lease::{ProvenLease, Stage};

#[derive(Clone, Debug)]
enum Event {
    Enter {
        who: u64,
        app: u8,
        slots: u32,
        hosts_max: Option<u32>,
        priority: i32,
        avoid: usize,
        job: bool,
    },
    Leave(usize),
    Release(usize),
    Lose(u64),
    Resume(u64),
    HostLost(usize),
    HostBack {
        host: usize,
        restarted: bool,
    },
    HostDown(usize),
    Ensured {
        good: bool,
    },
    Wish {
        what: usize,
        desired: bool,
        kill: bool,
    },
    EndJob(usize),
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let enter = (
        0..4u64,
        0..2u8,
        1..6u32,
        prop::option::of(1..3u32),
        0..2i32,
        0..4usize,
        any::<bool>(),
    );
    prop_oneof![
        8 => enter.prop_map(|(who, app, slots, hosts_max, priority, avoid, job)| Event::Enter { who, app, slots, hosts_max, priority, avoid, job }),
        2 => any::<usize>().prop_map(Event::Leave),
        6 => any::<usize>().prop_map(Event::Release),
        1 => (0..4u64).prop_map(Event::Lose),
        1 => (0..4u64).prop_map(Event::Resume),
        1 => any::<usize>().prop_map(Event::HostLost),
        2 => (any::<usize>(), any::<bool>()).prop_map(|(host, restarted)| Event::HostBack { host, restarted }),
        1 => any::<usize>().prop_map(Event::HostDown),
        6 => prop::bool::weighted(0.9).prop_map(|good| Event::Ensured { good }),
        1 => (0..5usize, any::<bool>(), any::<bool>()).prop_map(|(what, desired, kill)| Event::Wish { what, desired, kill }),
        1 => any::<usize>().prop_map(Event::EndJob),
        3 => (0..20u64).prop_map(Event::Pass),
    ]
}

/// The world around the queue: clients and Hosts that do as they are told.
struct World {
    scene: Scene,
    slots: Vec<u32>,
    limits: Limits,
    /// Leases as the clients know them.
    clients: BTreeMap<LeaseId, ProvenLease>,
    lost: BTreeSet<u64>,
    jobs: Vec<JobId>,
    ensures: Vec<(gridmart_schemas::id::NodeId, gridmart_schemas::id::Digest)>,
    generation: u64,
}

impl World {
    fn new(slots: &[u32], limits: Limits) -> Self {
        let scene = Scene::new(slots, limits);
        let jobs = vec![JobId::generate(), JobId::generate()];
        let mut world = Self {
            scene,
            slots: slots.to_vec(),
            limits,
            clients: BTreeMap::new(),
            lost: BTreeSet::new(),
            jobs,
            ensures: Vec::new(),
            generation: 0,
        };
        for who in 0..4 {
            world
                .scene
                .queue
                .on_session_opened(SessionId(who), key(who));
        }
        world
    }

    fn happen(&mut self, event: &Event) {
        let now = self.scene.now;
        match event {
            Event::Enter {
                who,
                app,
                slots,
                hosts_max,
                priority,
                avoid,
                job,
            } => {
                if self.lost.contains(who) {
                    return;
                }
                let mut wanted = self.scene.wanted(*who, *app, *slots);
                wanted.hosts_max = *hosts_max;
                wanted.priority = *priority;
                wanted.avoid.extend(self.scene.hosts.get(*avoid));
                wanted.job = job.then(|| self.jobs[usize::from(*app)]);
                // A refusal is an answer, too.
                let _ = self.scene.queue.on_enter(wanted, now);
            }
            Event::Leave(at) => {
                let keys: Vec<_> = self
                    .scene
                    .queue
                    .waiting_entries()
                    .iter()
                    .map(|entry| entry.wanted.key)
                    .collect();
                if let Some(key) = pick(&keys, *at) {
                    self.scene.queue.on_leave(key, now);
                }
            }
            Event::Release(at) => {
                let leases: Vec<LeaseId> = self.clients.keys().copied().collect();
                if let Some(lease) = pick(&leases, *at) {
                    self.release(lease);
                }
            }
            Event::Lose(who) => {
                self.lost.insert(*who);
                self.scene.queue.on_session_lost(SessionId(*who), now);
            }
            Event::Resume(who) => self.resume(*who),
            Event::HostLost(at) => {
                if let Some(host) = pick(&self.scene.hosts, *at) {
                    self.scene.queue.on_host_lost(host, now);
                    self.ensures.retain(|(on, _)| *on != host);
                }
            }
            Event::HostBack { host, restarted } => self.host_back(*host, *restarted),
            Event::HostDown(at) => {
                if let Some(host) = pick(&self.scene.hosts, *at) {
                    self.scene.queue.on_host_down(host, now);
                }
            }
            Event::Ensured { good } => {
                if !self.ensures.is_empty() {
                    let (host, digest) = self.ensures.remove(0);
                    let result = if *good {
                        Ok(())
                    } else {
                        Err(Problem::new(Code::StagingFailed, "no"))
                    };
                    self.scene.queue.on_ensured(host, &digest, result, now);
                }
            }
            Event::Wish {
                what,
                desired,
                kill,
            } => self.wish(*what, *desired, *kill),
            Event::EndJob(at) => {
                if let Some(job) = pick(&self.jobs, *at) {
                    self.scene.queue.on_job_terminated(job, "p0", now);
                }
            }
            Event::Pass(seconds) => self.pass(*seconds),
        }
        self.act();
    }

    fn release(&mut self, lease: LeaseId) {
        let session = self
            .scene
            .queue
            .leases()
            .get(lease)
            .and_then(|lease| lease.session);
        if let Some(session) = session {
            self.scene.queue.on_released(session, lease, self.scene.now);
            self.clients.remove(&lease);
        }
    }

    fn resume(&mut self, who: u64) {
        if !self.lost.remove(&who) {
            return;
        }
        self.scene.queue.on_session_opened(SessionId(who), key(who));
        let brought: Vec<ProvenLease> = self
            .clients
            .values()
            .filter(|lease| lease.presenter == key(who))
            .cloned()
            .collect();
        let kept = self
            .scene
            .queue
            .on_session_resumed(SessionId(who), brought, self.scene.now);
        self.clients
            .retain(|id, lease| lease.presenter != key(who) || kept.contains(id));
    }

    fn host_back(&mut self, at: usize, restarted: bool) {
        let Some(host) = pick(&self.scene.hosts, at) else {
            return;
        };
        let slots = self.slots[self
            .scene
            .hosts
            .iter()
            .position(|there| *there == host)
            .unwrap()];
        let before = self
            .scene
            .queue
            .host(host)
            .and_then(|host| host.incarnation);
        let incarnation = before
            .filter(|_| !restarted)
            .unwrap_or_else(Incarnation::generate);
        self.scene.queue.on_host_lost(host, self.scene.now);
        self.ensures.retain(|(on, _)| *on != host);
        self.scene.arrive(host, slots, incarnation);
    }

    fn wish(&mut self, what: usize, desired: bool, kill: bool) {
        self.generation += 1;
        let generation = self.generation;
        let change = |wish: &mut Wish| {
            wish.generation = generation;
            wish.desired = if desired {
                Desired::Production
            } else {
                Desired::Closed
            };
            wish.cut_epoch += u64::from(kill);
        };
        match what {
            0 => change(&mut self.scene.desired.wish),
            1 | 2 => change(&mut self.scene.desired.applications[what - 1].wish),
            _ => {
                let Some(host) = pick(&self.scene.hosts, what) else {
                    return;
                };
                let hosts = &mut self.scene.desired.hosts;
                if !hosts.iter().any(|wish| wish.host == host) {
                    hosts.push(HostWish {
                        host,
                        wish: Wish::default(),
                        applications: Vec::new(),
                    });
                }
                let wish = hosts.iter_mut().find(|wish| wish.host == host).unwrap();
                change(&mut wish.wish);
            }
        }
        self.scene.desire();
    }

    fn pass(&mut self, seconds: u64) {
        self.scene.now += Duration::from_secs(seconds);
        for (host, slots) in self.scene.hosts.clone().into_iter().zip(self.slots.clone()) {
            if self
                .scene
                .queue
                .host(host)
                .is_some_and(|host| host.connected)
            {
                self.scene
                    .queue
                    .on_host_heard(host, &state(slots), &[], self.scene.now);
            }
        }
        self.scene.queue.on_tick(self.scene.now);
    }

    /// Does what the queue wants done.
    fn act(&mut self) {
        for effect in self.scene.queue.take_effects() {
            match effect {
                Effect::Granted { entry, lease } => {
                    let state = self.scene.queue.leases().get(lease).cloned();
                    // It may have ended in the same breath; then `Over` follows.
                    let Some(state) = state else { continue };
                    assert_eq!(state.session, Some(entry.session));
                    let proven = ProvenLease {
                        id: lease,
                        host: state.host,
                        person: state.person,
                        presenter: state.presenter.unwrap(),
                        digest: state.digest,
                        application: state.application,
                        version: state.version,
                        slots: state.slots,
                        job: state.job,
                        cut: state.cut,
                        incarnation: state.incarnation,
                    };
                    assert!(
                        self.clients.insert(lease, proven).is_none(),
                        "granted twice"
                    );
                }
                Effect::Over { lease, .. } => {
                    self.clients.remove(&lease);
                }
                Effect::Forget { lease } if self.scene.queue.leases().has_ended(lease) => {
                    // Of a client that is away: it learns so when it is back.
                    let gone = self.clients.get(&lease).is_some_and(|lease| {
                        self.lost.iter().any(|who| lease.presenter == key(*who))
                    });
                    if gone {
                        self.clients.remove(&lease);
                    }
                }
                Effect::Ensure { host, digest } => self.ensures.push((host, digest)),
                _ => {}
            }
        }
    }

    /// What has to hold after every event.
    fn audit(&self) {
        let queue = &self.scene.queue;
        let mut on_host = BTreeMap::new();
        for lease in self.clients.values() {
            *on_host.entry(lease.host).or_insert(0u32) += lease.slots;
        }
        for (host, slots) in self.scene.hosts.iter().zip(&self.slots) {
            let given = on_host.get(host).copied().unwrap_or(0);
            assert!(given <= *slots, "{given} of {slots} slots are with clients");
        }
        assert_eq!(
            self.clients.len(),
            queue
                .leases()
                .iter()
                .filter(|lease| lease.stage != Stage::Staging)
                .count()
        );
        audit_counts(queue, self.limits);
        audit_indexes(queue);
        for lease in queue.leases().iter() {
            let present = queue.present_epochs(lease.host, &lease.digest, Epochs::default());
            assert!(!is_cut(lease.cut, present), "a lease outlived a kill");
        }
    }

    /// Everything is well and everybody does as asked: how long until all have
    /// been served?
    fn settle(&mut self) {
        for who in 0..4 {
            self.resume(who);
        }
        for wish in [0, 1, 2, 3, 4] {
            self.wish(wish, true, false);
        }
        for at in 0..self.scene.hosts.len() {
            self.host_back(at, false);
        }
        self.act();
        // Enough rounds for every slot that is wanted to be given out alone.
        let wanted: u32 = self
            .scene
            .queue
            .waiting_entries()
            .iter()
            .map(|entry| entry.missing)
            .sum();
        for _ in 0..wanted + 40 {
            while !self.ensures.is_empty() {
                self.happen(&Event::Ensured { good: true });
            }
            let recalled: Vec<LeaseId> = self
                .clients
                .keys()
                .copied()
                .filter(|id| {
                    self.scene
                        .queue
                        .leases()
                        .get(*id)
                        .is_some_and(|lease| lease.is_recalled() || lease.job.is_some())
                })
                .collect();
            for lease in recalled {
                self.release(lease);
            }
            // A client gives back what it does not use.
            if let Some(lease) = self.clients.keys().next().copied() {
                self.release(lease);
            }
            self.pass(3);
            self.act();
            self.audit();
        }
        let left = self.scene.queue.waiting_entries().len();
        assert_eq!(left, 0, "{left} still wait");
    }
}

fn pick<T: Copy>(of: &[T], at: usize) -> Option<T> {
    if of.is_empty() {
        None
    } else {
        of.get(at % of.len()).copied()
    }
}

fn audit_counts(queue: &Queue, limits: Limits) {
    let sum = |matches: &dyn Fn(&crate::compute::lease::LeaseState) -> bool| {
        queue
            .leases()
            .iter()
            .filter(|lease| matches(lease))
            .map(|lease| lease.slots)
            .sum::<u32>()
    };
    assert_eq!(queue.in_use, sum(&|_| true));
    assert!(
        limits.running.is_none_or(|limit| queue.in_use <= limit),
        "MaxRunningJobs"
    );
    for host in queue.hosts() {
        assert_eq!(host.held, sum(&|lease| lease.host == host.id));
        assert!(
            host.held <= host.slots.max(host.held.min(host.slots)),
            "more than there is on a Host"
        );
    }
    for (name, person) in &queue.people {
        assert_eq!(person.held, sum(&|lease| lease.person == *name));
        assert_eq!(
            person.recalled,
            sum(&|lease| lease.person == *name && lease.is_recalled())
        );
        assert!(
            limits
                .running_per_person
                .is_none_or(|limit| person.held <= limit),
            "MaxUserRunningJobs"
        );
    }
    let holders: BTreeSet<_> = queue
        .people
        .iter()
        .filter(|(_, person)| person.kept() > 0)
        .map(|(name, person)| (person.kept(), name.clone()))
        .collect();
    assert_eq!(queue.holders, holders);
    assert_eq!(queue.lengths(), queue.counted_waiting());
    for (key, entry) in &queue.entries {
        let staging = sum(&|lease| lease.entry == Some(*key));
        assert_eq!(entry.staging, staging);
        assert!(entry.granted <= entry.wanted.slots, "more than wanted");
        assert!(
            entry.missing() > 0 || entry.staging > 0,
            "a served entry stays"
        );
        let most = entry
            .wanted
            .hosts_max
            .map_or(usize::MAX, |most| most as usize);
        assert!(entry.hosts.len() <= most, "on too many Hosts");
    }
}

fn audit_indexes(queue: &Queue) {
    for application in queue.applications.values() {
        if let Some(index) = &application.index {
            let fitting: BTreeSet<_> = queue
                .hosts()
                .filter(|host| queue.fits(host, application))
                .map(|host| host.id)
                .collect();
            assert_eq!(index.fitting, fitting);
            let candidates: BTreeSet<_> = queue
                .hosts()
                .filter(|host| fitting.contains(&host.id) && host.free() > 0)
                .map(|host| (host.free(), host.id))
                .collect();
            assert_eq!(index.candidates, candidates);
        }
        let waiting: BTreeSet<_> = application
            .waiting
            .values()
            .flat_map(BTreeMap::values)
            .copied()
            .collect();
        let missing: BTreeSet<_> = queue
            .entries
            .iter()
            .filter(|(_, entry)| entry.wanted.digest == application.digest && entry.missing() > 0)
            .map(|(key, _)| *key)
            .collect();
        assert_eq!(waiting, missing);
        assert_eq!(
            queue.awaited.contains(&application.digest),
            !waiting.is_empty()
        );
        assert_eq!(application.flows.len(), application.placed.len());
        for (person, entries) in &application.waiting {
            let held = queue.people[person].held;
            let place = application.placed.get(person);
            let room = queue.settings.limits.person_has_room(held);
            assert_eq!(place.is_some(), room, "{person} is not where they belong");
            if let Some(flow) = place {
                assert_eq!(
                    (flow.held, flow.turn, Some(&(flow.priority, flow.sequence))),
                    (held, queue.people[person].turn, entries.keys().next())
                );
            }
        }
    }
}

fn limits() -> impl Strategy<Value = Limits> {
    (
        prop::option::of(1..8u32),
        prop::option::of(0..6u32),
        prop::option::of(1..4u32),
    )
        .prop_map(|(running, waiting, running_per_person)| Limits {
            running,
            waiting,
            total: None,
            running_per_person,
            per_job: None,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_queue_is_true(
        slots in prop::collection::vec(1..4u32, 1..4),
        limits in limits(),
        events in prop::collection::vec(event(), 1..80),
    ) {
        let mut world = World::new(&slots, limits);
        for event in &events {
            world.happen(event);
            world.audit();
        }
        world.settle();
    }
}
