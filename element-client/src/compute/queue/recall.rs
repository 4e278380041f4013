//! Asking leases back when others wait: from whom holds most.
//!
//! Somebody who has nothing may have a slot of anybody; somebody who has
//! something, only of those who have two more, so that slots do not wander to
//! and fro. The same person's leases are asked back for another of the
//! person's programs or applications, never for the one that holds them: a
//! client hands its own leases from call to call.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{Digest, LeaseId, NodeId, PersonName},
    role::Desired,
};

use super::{Queue, RECALL_PATIENCE, application::Index, effect::Effect, entry::EntryKey};
use crate::compute::lease::{LeaseState, Stage};

/// How many of those who wait are looked at in one round.
const RECALL_BATCH: usize = 16;
/// What is granted while something is being stopped may run for so long
/// before it is asked back: its first call has begun by then.
const STOP_DELAY: Duration = Duration::from_secs(5);

/// One person who waits for an application, with the first of the person's
/// entries.
struct Waiter {
    person: PersonName,
    digest: Digest,
    key: EntryKey,
}

impl Queue {
    /// Recalls what those who wait need and nobody is about to give back.
    pub(super) fn recall_for_waiting(&mut self, now: Instant) {
        let full = !self.settings.limits.running_has_room(self.in_use);
        let waiters = self.waiters(full);
        if waiters.is_empty() {
            return;
        }
        let mut supply = self.supply(now);
        for waiter in waiters {
            let coming = supply
                .iter_mut()
                .find(|(host, slots)| **slots > 0 && (full || self.would_serve(**host, &waiter)));
            if let Some((_, slots)) = coming {
                *slots -= 1;
                continue;
            }
            if let Some(lease) = self.victim(&waiter, full) {
                let gained = self
                    .leases
                    .get(lease)
                    .map(|lease| (lease.host, lease.slots));
                self.recall(lease, now);
                if let Some((host, slots)) = gained {
                    *supply.entry(host).or_default() += slots.saturating_sub(1);
                }
            }
        }
    }

    /// Who waits in vain, the neediest first, each person once per
    /// application.
    fn waiters(&self, full: bool) -> Vec<Waiter> {
        let mut flows: Vec<_> = self
            .awaited
            .iter()
            .filter_map(|digest| self.applications.get(digest))
            .filter(|application| application.index.is_some())
            .flat_map(|application| {
                application
                    .flows
                    .iter()
                    .take(RECALL_BATCH)
                    .map(move |flow| (flow, application))
            })
            .collect();
        flows.sort_unstable_by_key(|(flow, _)| *flow);
        flows.truncate(RECALL_BATCH);
        let waiter = |(flow, application): (
            &super::application::Flow,
            &super::application::PoolApplication,
        )| {
            let key = *application.waiting.get(&flow.person)?.values().next()?;
            // What is free and does not suit this one may be others' already.
            let entry = self.entries.get(&key)?;
            if !full && self.choose(entry, application).is_some() {
                return None;
            }
            Some(Waiter {
                person: flow.person.clone(),
                digest: application.digest.clone(),
                key,
            })
        };
        flows.into_iter().filter_map(waiter).collect()
    }

    /// Slots that were asked back lately and will come.
    fn supply(&self, now: Instant) -> BTreeMap<NodeId, u32> {
        let mut supply = BTreeMap::new();
        for lease in self.recalled.iter().filter_map(|id| self.leases.get(*id)) {
            if let Stage::Recalled { since, .. } = lease.stage
                && now.saturating_duration_since(since) < RECALL_PATIENCE
            {
                *supply.entry(lease.host).or_default() += lease.slots;
            }
        }
        supply
    }

    /// Whether a slot of that Host would serve the waiter.
    fn would_serve(&self, host: NodeId, waiter: &Waiter) -> bool {
        let (Some(entry), Some(application), Some(host)) = (
            self.entries.get(&waiter.key),
            self.applications.get(&waiter.digest),
            self.hosts.get(&host),
        ) else {
            return false;
        };
        let fits = |index: &Index| index.fitting.contains(&host.id);
        host.is_usable()
            && application.index.as_ref().is_some_and(fits)
            && entry.may_use(host.id)
            && self.suits(host, &entry.wanted.asker, &application.name)
    }

    /// The lease to recall for somebody: of who holds most, or, if nobody holds
    /// enough more, of the same person's other programs.
    fn victim(&self, waiter: &Waiter, full: bool) -> Option<LeaseId> {
        let own_kept = self
            .people
            .get(&waiter.person)
            .map_or(0, super::Person::kept);
        let enough = if own_kept == 0 {
            1
        } else {
            own_kept.saturating_add(2)
        };
        let others = self
            .holders
            .iter()
            .rev()
            .take_while(|(kept, _)| *kept >= enough);
        let of_others = others
            .filter(|(_, person)| *person != waiter.person)
            .find_map(|(_, person)| self.lease_to_recall(person, waiter, full));
        of_others.or_else(|| {
            let lacks = self.lacks_everything(waiter);
            lacks
                .then(|| self.lease_to_recall(&waiter.person, waiter, full))
                .flatten()
        })
    }

    /// Of a person's leases the one that is missed least: idle, and small.
    fn lease_to_recall(&self, person: &PersonName, waiter: &Waiter, full: bool) -> Option<LeaseId> {
        let may_go = |lease: &&LeaseState| {
            lease.stage == Stage::Active
                && lease.session.is_some()
                && (full || self.would_serve(lease.host, waiter))
                && !lease.is_of(&waiter.person, waiter.key.session, &waiter.digest)
        };
        self.leases
            .of_person(person)
            .filter(may_go)
            .min_by_key(|lease| (!lease.running.is_empty(), lease.slots, lease.id))
            .map(|lease| lease.id)
    }

    /// Whether neither the entry nor its client's program has a slot for the
    /// application.
    fn lacks_everything(&self, waiter: &Waiter) -> bool {
        let nothing = self
            .entries
            .get(&waiter.key)
            .is_some_and(|entry| entry.granted == 0);
        nothing
            && !self
                .leases
                .of_person(&waiter.person)
                .any(|lease| lease.is_of(&waiter.person, waiter.key.session, &waiter.digest))
    }

    /// Asks one lease back.
    pub(super) fn recall(&mut self, id: LeaseId, now: Instant) {
        let Some(lease) = self.leases.get_mut(id) else {
            return;
        };
        let (Some(session), Stage::Active) = (lease.session, lease.stage) else {
            return;
        };
        lease.stage = Stage::Recalled {
            since: now,
            enforced: false,
        };
        let (person, slots) = (lease.person.clone(), lease.slots);
        self.count(&person, |entry| {
            entry.recalled = entry.recalled.saturating_add(slots);
        });
        self.recalled.insert(id);
        self.effects.push(Effect::Recalled { session, lease: id });
    }

    /// Tells the Host where a client does not give back what was asked back.
    pub(super) fn enforce_recalls(&mut self, now: Instant) {
        for id in &self.recalled {
            let Some(lease) = self.leases.get_mut(*id) else {
                continue;
            };
            if let Stage::Recalled {
                since,
                enforced: false,
            } = lease.stage
                && now.saturating_duration_since(since) >= RECALL_PATIENCE
            {
                lease.stage = Stage::Recalled {
                    since,
                    enforced: true,
                };
                self.effects.push(Effect::EndOnHost {
                    host: lease.host,
                    lease: *id,
                    kill: false,
                    reason: "The lease was recalled, since others wait.".to_owned(),
                });
            }
        }
    }

    /// Recalls leases of what is being stopped.
    pub(super) fn recall_stopped(&mut self, now: Instant) {
        let due: Vec<LeaseId> = self
            .leases
            .iter()
            .filter(|lease| lease.stage == Stage::Active && self.is_stopped_for(lease))
            .filter(|lease| now.saturating_duration_since(lease.granted) >= STOP_DELAY)
            .map(|lease| lease.id)
            .collect();
        for lease in due {
            self.recall(lease, now);
        }
    }

    /// Whether the Element, the Host or the application is stopped.
    pub(super) fn is_stopped_for(&self, lease: &LeaseState) -> bool {
        let host = self.hosts.get(&lease.host);
        let application = self.applications.get(&lease.digest).map(|application| {
            host.map_or(application.wish, |host| {
                host.application_wish(&lease.digest, application.wish)
            })
        });
        self.wish.desired == Desired::Closed
            || host.is_none_or(|host| host.wish.desired == Desired::Closed)
            || application.is_none_or(|wish| wish.desired == Desired::Closed)
    }
}
