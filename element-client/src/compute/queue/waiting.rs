//! Entering the queue, waiting in it, leaving it.

use std::time::Instant;

use gridmart_schemas::{
    api::explain::Explanation,
    id::{Digest, JobId, LeaseId, PersonName},
    problem::{Code, Problem},
    role::Desired,
};

use super::{
    ENTRY_SLOTS_MAX, Queue,
    application::PoolApplication,
    effect::Effect,
    entry::{Entry, EntryKey, Wanted},
};
use crate::compute::lease::LeaseState;

/// How many Hosts a refusal shows.
const EXPLAINED_HOSTS_MAX: usize = 20;

impl Queue {
    /// A client wants slots. Answers with its place, 0 if slots were granted
    /// at once. Repeating an entry changes nothing.
    pub fn on_enter(&mut self, wanted: Wanted, now: Instant) -> Result<u32, Problem> {
        let key = wanted.key;
        if let Some(entry) = self.entries.get(&key) {
            return Ok(entry.position);
        }
        self.check_entry(&wanted)?;
        let digest = wanted.digest.clone();
        self.fetch_if_unknown(&digest);
        self.ensure_index(&digest, now);
        if let Some(problem) = self.refusal_of(&wanted) {
            return Err(problem);
        }
        if let Some(job) = wanted.job {
            self.end_predecessors(&wanted.asker, job, now);
        }
        self.sequence += 1;
        self.entries
            .insert(key, Entry::new(wanted, self.sequence, now));
        self.waiting += 1;
        self.begin_waiting(key);
        self.dispatch(now);
        // An entry that is gone already was served; one that has a part waits
        // for the rest without a place among those that have nothing.
        if self.entries.get(&key).is_none_or(|entry| entry.granted > 0) {
            return Ok(0);
        }
        if let Err(problem) = self.check_place(key) {
            self.remove_entry(key, now);
            return Err(problem);
        }
        let position = self.place_of(key);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.position = position;
        }
        Ok(position)
    }

    /// Refuses an entry that has to wait and finds no place.
    fn check_place(&self, key: EntryKey) -> Result<(), Problem> {
        let (limits, lengths) = (&self.settings.limits, self.lengths());
        limits.check_waiting(lengths)?;
        let entry = self.entries.get(&key);
        entry.map_or(Ok(()), |entry| {
            let others = self
                .entries_of(&entry.wanted.asker.person)
                .saturating_sub(1);
            limits.check_share(lengths, others)
        })
    }

    /// Entries of a person that wait for something.
    fn entries_of(&self, person: &PersonName) -> u32 {
        let awaited = self.people.get(person).map(|entry| &entry.awaited);
        let lengths = awaited.into_iter().flatten().map(|digest| {
            let application = self.applications.get(digest);
            application.map_or(0, |application| application.waiting_of(person))
        });
        u32::try_from(lengths.sum::<usize>()).unwrap_or(u32::MAX)
    }

    /// A client does not wait any more. Leases it has already stay.
    pub fn on_leave(&mut self, key: EntryKey, now: Instant) {
        self.remove_entry(key, now);
        self.dispatch(now);
    }

    /// Ends a map: its waiting entries are refused, its leases end.
    /// Answers with how many of each there were.
    pub fn on_job_terminated(&mut self, job: JobId, by: &str, now: Instant) -> u64 {
        let problem = Problem::new(
            Code::Terminated,
            format!("The map {job} was ended by {by}."),
        );
        let keys = self.entries_where(|entry| entry.wanted.job == Some(job));
        let leases: Vec<_> = self
            .leases
            .iter()
            .filter(|lease| lease.job == Some(job))
            .map(|lease| lease.id)
            .collect();
        let ended = keys.len() + leases.len();
        for key in keys {
            self.refuse(key, problem.clone(), now);
        }
        for lease in leases {
            self.end_lease(lease, &problem, Some(true), now);
        }
        self.dispatch(now);
        u64::try_from(ended).unwrap_or(u64::MAX)
    }

    /// Entries that wait, in the order of [`Queue::order`].
    pub fn waiting_entries(&self) -> Vec<WaitingEntry<'_>> {
        let shown = |(position, key): (u32, EntryKey)| {
            self.entries.get(&key).map(|entry| WaitingEntry {
                position,
                wanted: &entry.wanted,
                since: entry.since,
                missing: entry.missing(),
            })
        };
        self.order().into_iter().filter_map(shown).collect()
    }

    fn check_entry(&self, wanted: &Wanted) -> Result<(), Problem> {
        if wanted.slots == 0 || wanted.slots > ENTRY_SLOTS_MAX {
            return Err(Problem::new(
                Code::InvalidRequest,
                format!(
                    "{} slots were asked for; 1 to {ENTRY_SLOTS_MAX} are possible.",
                    wanted.slots
                ),
            ));
        }
        if let Some(most) = self.settings.limits.per_job
            && wanted.job.is_none()
            && wanted.slots > most
        {
            let detail = format!(
                "{} slots were asked for one call; MaxSlotsPerJob is {most}.",
                wanted.slots
            );
            return Err(Problem::new(Code::LimitExceeded, detail));
        }
        if wanted.hosts_max == Some(0) {
            return Err(Problem::new(
                Code::InvalidRequest,
                "At least one Host is needed; hosts_max is 0.",
            ));
        }
        if self.wish.desired == Desired::Closed {
            return Err(Problem::new(
                Code::NotAccepting,
                "This Element is stopped; it takes nothing new.",
            ));
        }
        let application = self.applications.get(&wanted.digest).ok_or_else(|| {
            Problem::new(
                Code::UnknownApplication,
                format!("This Element does not offer {}.", wanted.digest),
            )
        })?;
        let name = format!("{}@{}", application.name, application.version);
        if application.wish.desired == Desired::Closed {
            return Err(Problem::new(
                Code::NotAccepting,
                format!("{name} is stopped on this Element."),
            ));
        }
        let cut = wanted.cut.element < self.wish.cut_epoch
            || wanted.cut.application < application.wish.cut_epoch;
        if cut {
            return Err(Problem::new(
                Code::TicketCut,
                format!("The ticket is older than the last kill of this Element or of {name}."),
            ));
        }
        self.settings.limits.check_possible()
    }

    /// Why no Host of the pool could serve this at any time, if that is so.
    pub(super) fn refusal_of(&self, wanted: &Wanted) -> Option<Problem> {
        let application = self.applications.get(&wanted.digest)?;
        let possible = self.could_ever_fit(&wanted.asker, application);
        (!possible).then(|| self.unmet(wanted, application))
    }

    fn unmet(&self, wanted: &Wanted, application: &PoolApplication) -> Problem {
        let name = format!("{}@{}", application.name, application.version);
        if self.hosts.is_empty() {
            return Problem::new(
                Code::NotAccepting,
                format!("This Element has no Host yet that could run {name}."),
            );
        }
        let candidates = self.candidates(
            &wanted.digest,
            Some(&wanted.asker),
            &[],
            EXPLAINED_HOSTS_MAX,
        );
        let mut failed: Vec<&str> = candidates
            .iter()
            .flat_map(|candidate| candidate.checks.iter())
            .filter(|check| !check.met && check.name != "free-slots")
            .map(|check| check.name.as_str())
            .collect();
        failed.sort_unstable();
        failed.dedup();
        let detail = format!(
            "No Host of this Element can ever run {name}: {}.",
            failed.join(", ")
        );
        Problem::new(Code::NeedUnmet, detail).with_explanation(Explanation {
            question: format!("Which Host can run {name} for {}?", wanted.asker.person),
            outcome: "none".to_owned(),
            candidates,
        })
    }

    pub(super) fn fetch_if_unknown(&mut self, digest: &Digest) {
        if let Some(application) = self.applications.get_mut(digest)
            && application.manifest.is_none()
            && !application.fetching
        {
            application.fetching = true;
            self.effects.push(Effect::Fetch {
                digest: digest.clone(),
            });
        }
    }

    pub(super) fn entries_where(&self, matches: impl Fn(&Entry) -> bool) -> Vec<EntryKey> {
        let mut found: Vec<(u64, EntryKey)> = self
            .entries
            .values()
            .filter(|entry| matches(entry))
            .map(|entry| (entry.sequence, entry.wanted.key))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, key)| key).collect()
    }

    /// Puts an entry with missing slots into its application's queue.
    pub(super) fn begin_waiting(&mut self, key: EntryKey) {
        let Some(entry) = self.entries.get(&key) else {
            return;
        };
        let person = entry.wanted.asker.person.clone();
        let digest = entry.wanted.digest.clone();
        let rank = entry.rank();
        let Some(application) = self.applications.get_mut(&digest) else {
            return;
        };
        application.add_waiting(&person, rank, key);
        self.awaited.insert(digest.clone());
        let standing = self.people.entry(person.clone()).or_default();
        if standing.awaited.is_empty() {
            standing.turn = self.turns.begin(&person);
        }
        standing.awaited.insert(digest);
        self.rerank(&person);
    }

    /// Takes an entry out of its application's queue.
    pub(super) fn end_waiting(&mut self, key: EntryKey) {
        let Some(entry) = self.entries.get(&key) else {
            return;
        };
        let (digest, rank) = (entry.wanted.digest.clone(), entry.rank());
        let person = entry.wanted.asker.person.clone();
        if let Some(application) = self.applications.get_mut(&digest) {
            application.remove_waiting(&person, rank);
            self.rerank(&person);
            self.stop_awaiting(&digest, &person);
        }
    }

    fn stop_awaiting(&mut self, digest: &Digest, person: &PersonName) {
        let Some(application) = self.applications.get(digest) else {
            return;
        };
        if !application.is_awaited() {
            self.awaited.remove(digest);
        }
        if !application.waiting.contains_key(person)
            && let Some(entry) = self.people.get_mut(person)
        {
            entry.awaited.remove(digest);
        }
    }

    /// Takes an entry out of the queue, with the leases that stage for it.
    pub(super) fn remove_entry(&mut self, key: EntryKey, now: Instant) -> Option<Entry> {
        self.end_waiting(key);
        let entry = self.entries.remove(&key)?;
        if entry.granted == 0 {
            self.waiting = self.waiting.saturating_sub(1);
        }
        if entry.staging > 0 {
            let there: Vec<LeaseId> = entry
                .hosts
                .keys()
                .flat_map(|host| self.leases.of_host(*host))
                .collect();
            for lease in there {
                if self
                    .leases
                    .get(lease)
                    .is_some_and(|lease| lease.entry == Some(key))
                {
                    self.drop_lease(lease, now);
                }
            }
        }
        self.drop_person_if_gone(&entry.wanted.asker.person);
        Some(entry)
    }

    /// Takes an entry out of the queue and says so.
    pub(super) fn refuse(&mut self, key: EntryKey, problem: Problem, now: Instant) {
        if self.remove_entry(key, now).is_some() {
            self.effects.push(Effect::Refused {
                entry: key,
                problem,
            });
        }
    }

    /// A lease that staged did not come to be: its entry waits again, with
    /// the place it had.
    pub(super) fn take_back(&mut self, lease: &LeaseState) {
        let Some(key) = lease.entry else { return };
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        let waited = entry.missing() > 0;
        entry.ungrant(lease.host, lease.slots);
        entry.staging = entry.staging.saturating_sub(lease.slots);
        if entry.granted == 0 {
            self.waiting += 1;
        }
        if !waited {
            self.begin_waiting(key);
        }
    }

    /// How many wait, as the limits count them.
    #[cfg(test)]
    pub(super) fn counted_waiting(&self) -> super::limit::Lengths {
        let waiting = self
            .entries
            .values()
            .filter(|entry| entry.granted == 0)
            .count();
        super::limit::Lengths {
            running: self.in_use,
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
        }
    }
}

/// A waiting entry, to be shown.
#[derive(Clone, Copy, Debug)]
pub struct WaitingEntry<'a> {
    /// Its place, from 1.
    pub position: u32,
    /// What it wants.
    pub wanted: &'a Wanted,
    /// Since when.
    pub since: Instant,
    /// Slots that it still wants.
    pub missing: u32,
}
