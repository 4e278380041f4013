//! Giving out slots: slot by slot in the order of the queue, then one lease
//! per entry and Host.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{Digest, LeaseId, NodeId, PersonName},
    problem::{Code, Problem},
};

use super::{
    Queue,
    application::{Flow, Manifest},
    effect::Effect,
    entry::EntryKey,
    host::Placement,
};
use crate::compute::lease::{LeaseState, Stage};

/// How long a Host to which an application could not be brought is not asked
/// again for it.
const BROKEN_FOR: Duration = Duration::from_mins(1);

/// To how many Hosts an application is brought before anybody calls it there.
const STAGED_AHEAD_MAX: usize = 16;

/// Slots chosen in one round, by entry and Host.
type Plan = BTreeMap<(EntryKey, NodeId), u32>;

impl Queue {
    /// Gives out what can be given out now, then recalls what others wait for.
    pub(super) fn dispatch(&mut self, now: Instant) {
        if self.awaited.is_empty() {
            return;
        }
        let mut plan = Plan::new();
        let mut blocked: Vec<PersonName> = Vec::new();
        while self.settings.limits.running_has_room(self.in_use) {
            let Some((digest, person)) = self.next_flow() else {
                break;
            };
            if let Some((key, host)) = self.next_slot(&digest, &person) {
                self.take_slot(key, host);
                *plan.entry((key, host)).or_default() += 1;
            } else {
                // Nothing of this person's fits what is free: aside until the
                // round is over.
                if let Some(application) = self.applications.get_mut(&digest) {
                    application.rerank(&person, None);
                }
                blocked.push(person);
            }
        }
        for person in blocked {
            self.rerank(&person);
        }
        for ((key, host), slots) in &plan {
            self.make_lease(*key, *host, *slots, now);
        }
        for (key, _) in plan.into_keys() {
            self.finish_if_served(key);
        }
        self.recall_for_waiting(now);
    }

    /// Whose turn it is among those for whom a Host is free.
    fn next_flow(&self) -> Option<(Digest, PersonName)> {
        let mut first: Option<(&Digest, &Flow)> = None;
        for digest in &self.awaited {
            let Some(application) = self
                .applications
                .get(digest)
                .filter(|application| application.is_ready())
            else {
                continue;
            };
            if let Some(flow) = application.flows.first()
                && first.is_none_or(|(_, best)| flow < best)
            {
                first = Some((digest, flow));
            }
        }
        first.map(|(digest, flow)| (digest.clone(), flow.person.clone()))
    }

    /// The person's first entry that one of the free Hosts suits.
    fn next_slot(&self, digest: &Digest, person: &PersonName) -> Option<(EntryKey, NodeId)> {
        let application = self.applications.get(digest)?;
        let entries = application.waiting.get(person)?;
        entries.values().find_map(|key| {
            let entry = self.entries.get(key)?;
            self.choose(entry, application).map(|host| (*key, host))
        })
    }

    fn take_slot(&mut self, key: EntryKey, host: NodeId) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        if entry.granted == 0 {
            self.waiting = self.waiting.saturating_sub(1);
        }
        entry.granted += 1;
        *entry.hosts.entry(host).or_default() += 1;
        let person = entry.wanted.asker.person.clone();
        if entry.missing() == 0 {
            self.end_waiting(key);
        }
        if let Some(standing) = self.people.get_mut(&person) {
            standing.turn = self.turns.serve(&person, standing.turn);
        }
        self.hold(host, &person, 1);
    }

    /// Makes a lease of slots that are counted already.
    fn make_lease(&mut self, key: EntryKey, host: NodeId, slots: u32, now: Instant) {
        let (Some(entry), Some(place)) = (self.entries.get_mut(&key), self.hosts.get_mut(&host))
        else {
            return;
        };
        let wanted = entry.wanted.clone();
        let ready = place.placements.get(&wanted.digest) == Some(&Placement::Ready);
        if !ready {
            entry.staging += slots;
            if place
                .placements
                .insert(wanted.digest.clone(), Placement::Ensuring)
                != Some(Placement::Ensuring)
            {
                self.effects.push(Effect::Ensure {
                    host,
                    digest: wanted.digest.clone(),
                });
            }
        }
        let incarnation = place.incarnation;
        let (application, version) = self
            .applications
            .get(&wanted.digest)
            .map(|application| (application.name.clone(), application.version.clone()))
            .unwrap_or_default();
        let lease = LeaseState {
            id: self.lease_ids.next(),
            host,
            person: wanted.asker.person.clone(),
            presenter: Some(wanted.asker.presenter.clone()),
            cut: self.present_epochs(host, &wanted.digest, wanted.cut),
            digest: wanted.digest,
            application,
            version,
            slots,
            job: wanted.job,
            incarnation,
            request: wanted.request,
            session: Some(key.session),
            entry: Some(key),
            stage: Stage::Staging,
            granted: now,
            orphan_until: None,
            attached: false,
            running: Vec::new(),
        };
        let id = lease.id;
        self.leases.insert(lease);
        if ready {
            self.activate(id, now);
        }
    }

    /// The client gets its lease.
    fn activate(&mut self, id: LeaseId, now: Instant) {
        let Some(lease) = self.leases.get_mut(id) else {
            return;
        };
        lease.stage = Stage::Active;
        lease.granted = now;
        let Some(key) = lease.entry.take() else {
            return;
        };
        self.effects.push(Effect::Remember { lease: id });
        self.effects.push(Effect::Granted {
            entry: key,
            lease: id,
        });
    }

    fn finish_if_served(&mut self, key: EntryKey) {
        if self
            .entries
            .get(&key)
            .is_some_and(|entry| entry.missing() == 0 && entry.staging == 0)
        {
            self.entries.remove(&key);
        }
    }

    /// A Host has an application ready, or could not get it.
    pub fn on_ensured(
        &mut self,
        host: NodeId,
        digest: &Digest,
        result: Result<(), Problem>,
        now: Instant,
    ) {
        let Some(place) = self.hosts.get_mut(&host) else {
            return;
        };
        if place.placements.get(digest) != Some(&Placement::Ensuring) {
            return;
        }
        let failure = result.err();
        let placement = failure
            .clone()
            .map_or(Placement::Ready, |problem| Placement::Broken {
                until: now + BROKEN_FOR,
                problem,
            });
        place.placements.insert(digest.clone(), placement);
        self.refit(host);
        let staged = self.staged_on(host, digest);
        match failure {
            None => {
                for id in staged {
                    let staging = self
                        .leases
                        .get(id)
                        .and_then(|lease| lease.entry.map(|key| (key, lease.slots)));
                    if let Some((key, slots)) = staging
                        && let Some(entry) = self.entries.get_mut(&key)
                    {
                        entry.staging = entry.staging.saturating_sub(slots);
                    }
                    self.activate(id, now);
                    if let Some((key, _)) = staging {
                        self.finish_if_served(key);
                    }
                }
            }
            Some(problem) => {
                for id in staged {
                    self.drop_lease(id, now);
                }
                self.refuse_if_broken_everywhere(digest, &problem, now);
            }
        }
        self.dispatch(now);
    }

    pub(super) fn staged_on(&self, host: NodeId, digest: &Digest) -> Vec<LeaseId> {
        let mut leases = self.leases.of_host(host);
        leases.retain(|id| {
            self.leases
                .get(*id)
                .is_some_and(|lease| lease.stage == Stage::Staging && lease.digest == *digest)
        });
        leases
    }

    /// When the last Host has failed to get an application, nobody waits for
    /// it in vain.
    fn refuse_if_broken_everywhere(&mut self, digest: &Digest, problem: &Problem, now: Instant) {
        let fitting = self
            .applications
            .get(digest)
            .and_then(|application| application.index.as_ref())
            .is_some_and(|index| !index.fitting.is_empty());
        let underway = self
            .hosts
            .values()
            .any(|host| host.placements.get(digest) == Some(&Placement::Ensuring));
        if fitting || underway {
            return;
        }
        let refusal = Problem::new(
            Code::StagingFailed,
            format!(
                "The application could not be brought to any Host; the last one said: {}",
                problem.detail
            ),
        );
        for key in self.entries_where(|entry| entry.wanted.digest == *digest && entry.granted == 0)
        {
            self.refuse(key, refusal.clone(), now);
        }
    }

    /// An application's package was fetched and read.
    pub fn on_application_known(&mut self, digest: &Digest, manifest: Manifest, now: Instant) {
        let Some(application) = self.applications.get_mut(digest) else {
            return;
        };
        application.fetching = false;
        let offers_more = self.offered.extend(&manifest.capabilities);
        application.manifest = Some(Arc::new(manifest));
        if offers_more {
            self.rebuild_indexes(now);
        }
        self.ensure_index(digest, now);
        let waiting = self.entries_where(|entry| entry.wanted.digest == *digest);
        for key in waiting {
            let refusal = self
                .entries
                .get(&key)
                .and_then(|entry| self.refusal_of(&entry.wanted));
            if let Some(problem) = refusal {
                self.refuse(key, problem, now);
            }
        }
        self.dispatch(now);
        self.stage_ahead(digest);
    }

    /// Brings a new application to the Hosts that will be asked first, so that
    /// its first callers do not wait for it; the other Hosts get it on demand.
    fn stage_ahead(&mut self, digest: &Digest) {
        let Some(index) = self
            .applications
            .get(digest)
            .and_then(|application| application.index.as_ref())
        else {
            return;
        };
        let first: Vec<NodeId> = index
            .candidates
            .iter()
            .rev()
            .map(|(_, host)| *host)
            .take(STAGED_AHEAD_MAX)
            .collect();
        for id in first {
            let Some(place) = self.hosts.get_mut(&id) else {
                continue;
            };
            if !place.placements.contains_key(digest) {
                place.placements.insert(digest.clone(), Placement::Ensuring);
                self.effects.push(Effect::Ensure {
                    host: id,
                    digest: digest.clone(),
                });
            }
        }
    }

    /// An application's package could not be fetched.
    pub fn on_application_failed(&mut self, digest: &Digest, problem: &Problem, now: Instant) {
        if let Some(application) = self.applications.get_mut(digest) {
            application.fetching = false;
        }
        for key in self.entries_where(|entry| entry.wanted.digest == *digest) {
            self.refuse(key, problem.clone(), now);
        }
    }
}
