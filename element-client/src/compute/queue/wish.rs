//! What should be: starts, stops and kills of the Element, its Hosts and its
//! applications. Applying the same wish again changes nothing.

use std::{
    collections::{HashMap, HashSet},
    time::Instant,
};

use gridmart_schemas::{
    id::{Digest, LeaseId, NodeId},
    problem::{Code, Problem},
    role::Desired,
    wire::desired::{ElementDesired, HostWish, Wish},
};

use super::{Queue, application::PoolApplication, entry::Epochs, host::PoolHost, session::is_cut};

impl Queue {
    /// Takes over what should be, whole.
    pub fn on_desired(&mut self, desired: &ElementDesired, now: Instant) {
        let stopped_before: HashSet<LeaseId> = self
            .leases
            .iter()
            .filter(|lease| self.is_stopped_for(lease))
            .map(|lease| lease.id)
            .collect();
        self.wish = desired.wish;
        self.take_applications(desired, now);
        self.take_hosts(desired, now);
        self.cut(now);
        self.rebuild_indexes(now);
        // What was granted before the stop is asked back at once.
        let stopped: Vec<LeaseId> = self
            .leases
            .iter()
            .filter(|lease| !stopped_before.contains(&lease.id) && self.is_stopped_for(lease))
            .map(|lease| lease.id)
            .collect();
        for lease in stopped {
            self.recall(lease, now);
        }
        self.dispatch(now);
    }

    fn take_applications(&mut self, desired: &ElementDesired, now: Instant) {
        let mut offered: HashSet<&Digest> = HashSet::new();
        for wished in &desired.applications {
            offered.insert(&wished.digest);
            let application = self
                .applications
                .entry(wished.digest.clone())
                .or_insert_with(|| {
                    PoolApplication::new(
                        wished.digest.clone(),
                        wished.name.clone(),
                        wished.version.clone(),
                        wished.wish,
                    )
                });
            application.wish = wished.wish;
        }
        let gone: Vec<Digest> = self
            .applications
            .keys()
            .filter(|digest| !offered.contains(digest))
            .cloned()
            .collect();
        for digest in gone {
            let problem = Problem::new(
                Code::UnknownApplication,
                format!("This Element does not offer {digest} any more."),
            );
            for key in self.entries_where(|entry| entry.wanted.digest == digest) {
                self.refuse(key, problem.clone(), now);
            }
            self.applications.remove(&digest);
        }
        for wished in &desired.applications {
            if wished.wish.desired == Desired::Production {
                self.fetch_if_unknown(&wished.digest);
                continue;
            }
            // Hosts take no new calls of a stopped application, so that a
            // lease would be of no use.
            let problem = Problem::new(
                Code::NotAccepting,
                format!("{}@{} was stopped.", wished.name, wished.version),
            );
            for key in self.entries_where(|entry| entry.wanted.digest == wished.digest) {
                self.refuse(key, problem.clone(), now);
            }
        }
    }

    fn take_hosts(&mut self, desired: &ElementDesired, now: Instant) {
        let wishes: HashMap<NodeId, &HostWish> =
            desired.hosts.iter().map(|wish| (wish.host, wish)).collect();
        let revoked: HashSet<NodeId> = desired.revoked.iter().copied().collect();
        for host in self.hosts.values_mut() {
            let own = wishes.get(&host.id);
            host.wish = own.map_or_else(Wish::default, |own| own.wish);
            host.application_wishes = own
                .map(|own| {
                    own.applications
                        .iter()
                        .map(|one| (one.digest.clone(), one.wish))
                        .collect()
                })
                .unwrap_or_default();
            host.revoked = revoked.contains(&host.id);
        }
        let hosts: Vec<NodeId> = self.hosts.keys().copied().collect();
        for id in hosts {
            self.reindex(id);
        }
        let turned_away = |host: &&PoolHost| host.revoked;
        let revoked: Vec<NodeId> = self
            .hosts
            .values()
            .filter(turned_away)
            .map(|host| host.id)
            .collect();
        let problem = Problem::new(Code::HostDown, "The Host's certificate was revoked.");
        for id in revoked {
            for lease in self.leases.of_host(id) {
                self.end_lease(lease, &problem, Some(true), now);
            }
        }
    }

    /// Ends what was begun before a cut, waiting or running.
    fn cut(&mut self, now: Instant) {
        let problem = Problem::new(
            Code::Terminated,
            "It was ended by a kill of the Element, the Host or the application.",
        );
        let cut = |queue: &Self, digest: &Digest, begun: Epochs| {
            let application = queue
                .applications
                .get(digest)
                .map_or(0, |application| application.wish.cut_epoch);
            is_cut(
                begun,
                Epochs {
                    element: queue.wish.cut_epoch,
                    host: 0,
                    application,
                },
            )
        };
        for key in self.entries_where(|entry| cut(self, &entry.wanted.digest, entry.wanted.cut)) {
            self.refuse(key, problem.clone(), now);
        }
        let leases: Vec<LeaseId> = self
            .leases
            .iter()
            .filter(|lease| {
                is_cut(
                    lease.cut,
                    self.present_epochs(lease.host, &lease.digest, Epochs::default()),
                )
            })
            .map(|lease| lease.id)
            .collect();
        for lease in leases {
            self.end_lease(lease, &problem, Some(true), now);
        }
    }
}
