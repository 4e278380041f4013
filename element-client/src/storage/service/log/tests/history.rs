//! Histories of a pool: Hosts join, are away, come back, are revoked, lose what
//! was not synced, answer nobody; members change meanwhile, and starts cut it
//! off. Whenever the store is lost, a rebuild that calls itself whole has all
//! that was acknowledged.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use gridmart_schemas::{
    id::{BucketId, NodeId},
    storage::Redundancy,
};
use proptest::{prelude::*, sample::select};

use super::scene::{Hosts, Running};
use crate::storage::metadata::{
    BucketCreate, Change, Quota, RebuildError, open_writer, query, tests::sim_replica::Fate,
};

const HOSTS_MAX: usize = 8;
/// As many as it takes until those that join have caught up, mostly.
const FOLLOW_STEPS: usize = 4;

#[derive(Clone, Debug)]
enum Event {
    Write,
    Follow,
    /// What becomes of the next things that a Host is sent.
    Fate(usize, Fate),
    Join,
    /// These are away, the others there.
    Shake(u8),
    Revoke(usize),
    PowerCut(usize),
    Restart,
    /// Buckets that bear so many losses.
    Bear(u8),
    /// The store is lost, and of the Hosts these are away.
    Lose(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let host = || 0..HOSTS_MAX;
    let fate = select(vec![Fate::Lost, Fate::Unanswered, Fate::Unsynced]);
    prop_oneof![
        6 => Just(Event::Write),
        6 => Just(Event::Follow),
        4 => (host(), fate).prop_map(|(host, fate)| Event::Fate(host, fate)),
        2 => Just(Event::Join),
        5 => any::<u8>().prop_map(Event::Shake),
        1 => host().prop_map(Event::Revoke),
        1 => host().prop_map(Event::PowerCut),
        2 => Just(Event::Restart),
        1 => (0_u8..4).prop_map(Event::Bear),
        3 => any::<u8>().prop_map(Event::Lose),
    ]
}

struct World {
    folder: tempfile::TempDir,
    stores: usize,
    hosts: Hosts,
    running: Option<Running>,
    /// Marks whose writes were acknowledged.
    acknowledged: BTreeSet<NodeId>,
}

impl World {
    async fn of(hosts: usize) -> Self {
        let mut world = Self {
            folder: tempfile::tempdir().unwrap(),
            stores: 0,
            hosts: Hosts::of(hosts),
            running: None,
            acknowledged: BTreeSet::new(),
        };
        world.start().await;
        world
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.sqlite", self.stores))
    }

    async fn start(&mut self) {
        self.running = None;
        let running = Running::start(self.path(), &self.hosts, Duration::ZERO).await;
        self.running = Some(running);
    }

    fn host(&self, at: usize) -> NodeId {
        self.hosts.ids()[at % self.hosts.ids().len()]
    }

    async fn write(&mut self) {
        let host = NodeId::generate();
        let running = self.running.as_ref().unwrap();
        let written = running.writer.commit(Change::HostKnown { host }).await;
        if written.is_ok() {
            self.acknowledged.insert(host);
        }
    }

    async fn play(&mut self, event: Event) {
        match event {
            Event::Write => self.write().await,
            Event::Follow => {
                for _ in 0..FOLLOW_STEPS {
                    // Whether it could, is seen in what it has made.
                    let _ = self.running.as_ref().unwrap().members.follow().await;
                }
            }
            Event::Fate(at, fate) => self.hosts.replica(self.host(at)).fate(fate),
            Event::Join if self.hosts.ids().len() < HOSTS_MAX => {
                self.hosts.join();
            }
            Event::Join => {}
            Event::Shake(away) => self.shake(away),
            Event::Revoke(at) => {
                let host = self.host(at);
                self.hosts.revoke(host);
                if self.hosts.asked().is_empty() {
                    self.hosts.join();
                }
            }
            Event::PowerCut(at) => self.hosts.replica(self.host(at)).power_cut(),
            Event::Restart => self.start().await,
            Event::Bear(copies) => self.bear(copies).await,
            Event::Lose(away) => self.lose(away).await,
        }
    }

    /// The bucket's redundancy is another one.
    async fn bear(&mut self, losses: u8) {
        let running = self.running.as_ref().unwrap();
        let redundancy = Redundancy::replica(losses + 1).unwrap();
        let create = BucketCreate {
            bucket: BucketId::generate(),
            name: format!("b{}", running.writer.progress().sequence() + 100)
                .parse()
                .unwrap(),
            owner: "ada".parse().unwrap(),
            redundancy,
            object_lock: false,
            quota: Quota::default(),
        };
        let create = Change::BucketCreate(create);
        let _ = running.writer.commit(create).await;
    }

    /// Those of the mask are away.
    fn shake(&self, away: u8) {
        for (at, id) in self.hosts.ids().iter().enumerate() {
            if self.hosts.is_revoked(*id) {
                continue;
            }
            if away & (1 << at) == 0 {
                self.hosts.back(*id);
            } else {
                self.hosts.away(*id);
            }
        }
    }

    async fn lose(&mut self, away: u8) {
        self.running = None;
        self.shake(away);
        for id in self.hosts.ids() {
            self.hosts.replica(*id).power_cut();
        }
        self.stores += 1;
        match self.hosts.rebuild(&self.path()) {
            Ok(rebuilt) => {
                assert!(rebuilt.is_whole);
                self.check();
            }
            // The store was not lost after all.
            Err(RebuildError::TooFew { .. } | RebuildError::NoMembers { .. }) => {
                assert!(!self.path().exists());
                self.stores -= 1;
            }
            Err(error) => panic!("{error}"),
        }
        self.start().await;
    }

    fn check(&self) {
        let store = open_writer(&self.path()).unwrap();
        let found = query::hosts(&store).unwrap();
        let found: BTreeSet<NodeId> = found.into_iter().map(|row| row.host).collect();
        let lost: Vec<_> = self.acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "{} acknowledged are lost", lost.len());
    }
}

/// Two tries of a rebuild reach one Host only: the store was not lost, and goes on
/// with an epoch far beyond what the others know. Nothing of that Host's passes
/// for newer than what is acknowledged when the store is lost in earnest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_few_hosts_have_heard_of_leaves_no_record() {
    let mut world = World::of(3).await;
    world.write().await;
    for event in [
        Event::Lose(0b011),
        Event::Lose(0b011),
        Event::Lose(0b100),
        Event::Write,
        Event::Lose(0b001),
    ] {
        world.play(event).await;
    }
    assert_eq!((world.stores, world.acknowledged.len()), (2, 2));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_whole_rebuild_has_all_that_was_acknowledged(
        hosts in 1_usize..8,
        events in proptest::collection::vec(event(), 1..80),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let playing = async move {
            let mut world = World::of(hosts).await;
            for event in events {
                world.play(event).await;
            }
            world.lose(0).await;
        };
        runtime.block_on(async { tokio::spawn(playing).await.unwrap() });
    }
}
