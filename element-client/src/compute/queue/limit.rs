//! What the Element's Policy allows its queue. Absent means no limit, 0 none.

use gridmart_schemas::{
    problem::{Code, Problem},
    resource::ce::CePolicy,
};

/// One person may have so many entries waiting for each place that is free
/// still: nine tenths of an empty queue, nine tenths of the rest for the next
/// person, and so on. Whoever comes last finds a place (the dynamic threshold of
/// Choudhury and Hahne, 1998).
const ENTRIES_PER_FREE_PLACE_MAX: u32 = 9;

/// Limits of the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Slots in use at a time, over all people.
    pub running: Option<u32>,
    /// Entries waiting at a time.
    pub waiting: Option<u32>,
    /// Slots in use and entries waiting together.
    pub total: Option<u32>,
    /// Slots in use at a time by one person.
    pub running_per_person: Option<u32>,
    /// Slots of one call; parts of a map are calls of one slot each.
    pub per_job: Option<u32>,
}

/// How long the queue is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// Slots in use.
    pub running: u32,
    /// Entries that wait and have nothing yet.
    pub waiting: u32,
}

impl Limits {
    /// Takes the limits that concern the queue.
    pub fn of(policy: &CePolicy) -> Self {
        let running = match (policy.max_running_jobs, policy.assigned_job_slots) {
            (Some(jobs), Some(slots)) => Some(jobs.min(slots)),
            (jobs, slots) => jobs.or(slots),
        };
        Self {
            running,
            waiting: policy.max_waiting_jobs,
            total: policy.max_total_jobs,
            running_per_person: policy.max_user_running_jobs,
            per_job: policy.max_slots_per_job.map(std::num::NonZeroU32::get),
        }
    }

    /// Tells whether one more slot may be given out.
    pub(super) fn running_has_room(&self, running: u32) -> bool {
        self.running.is_none_or(|limit| running < limit)
    }

    /// Tells whether one more slot may be given to a person who holds `held`.
    pub(super) fn person_has_room(&self, held: u32) -> bool {
        self.running_per_person.is_none_or(|limit| held < limit)
    }

    /// Refuses one more waiting entry where there is no place; `now` counts
    /// the entry already.
    pub(super) fn check_waiting(&self, now: Lengths) -> Result<(), Problem> {
        let waiting_full = self.waiting.is_some_and(|limit| now.waiting > limit);
        let total_full = self
            .total
            .is_some_and(|limit| now.running.saturating_add(now.waiting) > limit);
        if !waiting_full && !total_full {
            return Ok(());
        }
        let shown = |limit: Option<u32>| {
            limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string())
        };
        Err(Problem::new(
            Code::QueueFull,
            format!(
                "The queue is full: {} slots in use (MaxRunningJobs: {}), {} entries waiting (MaxWaitingJobs: {}; MaxTotalJobs: {}).",
                now.running,
                shown(self.running),
                now.waiting.saturating_sub(1),
                shown(self.waiting),
                shown(self.total),
            ),
        ))
    }

    /// Refuses one more waiting entry of a person who has `waiting` and more than
    /// their share of the places; `now` counts the entry already.
    pub(super) fn check_share(&self, now: Lengths, waiting: u32) -> Result<(), Problem> {
        let Some(limit) = self.waiting else {
            return Ok(());
        };
        let free = limit.saturating_sub(now.waiting.saturating_sub(1));
        // The last place is for those who have none, however short the queue.
        let is_last = free <= 1 && limit > 1 && waiting > 0;
        if !is_last && waiting < free.saturating_mul(ENTRIES_PER_FREE_PLACE_MAX) {
            return Ok(());
        }
        Err(Problem::new(
            Code::QuotaExceeded,
            format!(
                "You have {waiting} of the {} entries that wait (MaxWaitingJobs: {limit}); the {free} places that are free are kept for other people.",
                now.waiting.saturating_sub(1),
            ),
        ))
    }

    /// Refuses what a limit of 0 can never let run.
    pub(super) fn check_possible(&self) -> Result<(), Problem> {
        let zero = [
            ("MaxRunningJobs or AssignedJobSlots", self.running),
            ("MaxTotalJobs", self.total),
            ("MaxUserRunningJobs", self.running_per_person),
        ];
        match zero.iter().find(|(_, limit)| *limit == Some(0)) {
            None => Ok(()),
            Some((name, _)) => Err(Problem::new(
                Code::NotAccepting,
                format!("This Element's Policy lets nothing run: {name} is 0."),
            )),
        }
    }
}
