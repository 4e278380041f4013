//! What is true of a history, known to nobody in it: each call, each lease,
//! each result. It says what must never be.

use std::collections::{BTreeMap, BTreeSet};

use gridmart_schemas::{
    id::{CallId, JobId, LeaseId, NodeId, PersonName, ReportId},
    problem::Problem,
    role::Role,
    wire::{
        call::CallOpen,
        record::{CallEnd, CallRecord, CallState, JobProgress},
    },
};
use time::OffsetDateTime;

use super::dice::short;

/// One call.
#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, each of them shown by its name"
)]
struct CallFacts {
    retryable: bool,
    part: bool,
    /// Its caller was told an end.
    told: bool,
    caller_gone: bool,
    opened: u32,
    runs: u32,
    lost: u32,
    /// Each time that it was taken is told once; a Host may take it under two
    /// leases in one moment.
    records: BTreeSet<(NodeId, Option<LeaseId>, OffsetDateTime)>,
}

/// One map.
#[derive(Default)]
struct MapFacts {
    total: u64,
    results: BTreeSet<u64>,
    over: bool,
    abandoned: bool,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Ledger {
    people: Vec<(PersonName, Role)>,
    quiet: bool,
    failure: Option<String>,
    calls: BTreeMap<CallId, CallFacts>,
    maps: BTreeMap<JobId, MapFacts>,
    granted: BTreeMap<LeaseId, NodeId>,
    reports: BTreeSet<ReportId>,
}

impl Ledger {
    /// Something is as it must never be; the first such thing counts.
    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        self.failure.get_or_insert(what.into());
    }

    /// What is not as it must be, if anything is.
    pub(crate) const fn failure(&self) -> Option<&String> {
        self.failure.as_ref()
    }

    /// Nobody begins anything new.
    pub(crate) const fn quieten(&mut self) {
        self.quiet = true;
    }

    /// Whether nobody is to begin anything new.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Who runs the program of this number.
    pub(crate) fn on_person(&mut self, name: PersonName, role: Role) {
        self.people.push((name, role));
    }

    /// Who that is.
    pub(crate) fn person(&self, number: usize) -> Option<(PersonName, Role)> {
        self.people.get(number).cloned()
    }

    /// How many calls, maps and leases there were.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        (self.calls.len(), self.maps.len(), self.granted.len())
    }

    // === leases ===

    /// A lease was granted.
    pub(crate) fn on_granted(&mut self, lease: LeaseId, host: NodeId) {
        if self.granted.insert(lease, host).is_some() {
            self.fail(format!(
                "lease {} was granted twice",
                short(lease.as_uuid())
            ));
        }
    }

    // === calls ===

    fn call(&mut self, id: CallId) -> &mut CallFacts {
        self.calls.entry(id).or_default()
    }

    /// A caller wants a call.
    pub(crate) fn on_asked(&mut self, id: CallId, retryable: bool) {
        self.call(id).retryable = retryable;
    }

    /// A map begins an attempt of a part.
    pub(crate) fn on_part(&mut self, id: CallId) {
        let call = self.call(id);
        call.part = true;
        call.retryable = false;
    }

    /// The caller is told an end.
    pub(crate) fn on_outcome(&mut self, id: CallId, end: &Result<CallEnd, Problem>) {
        let call = self.call(id);
        let twice = std::mem::replace(&mut call.told, true);
        let from_nothing = call.runs == 0
            && end
                .as_ref()
                .is_ok_and(|end| end.state == CallState::Finished);
        if twice {
            self.fail(format!("call {} was told two ends", short(id.as_uuid())));
        }
        if from_nothing {
            self.fail(format!(
                "call {} finished and never ran",
                short(id.as_uuid())
            ));
        }
    }

    /// The caller is gone.
    pub(crate) fn on_caller_gone(&mut self, id: CallId) {
        self.call(id).caller_gone = true;
    }

    /// A Host takes a call.
    pub(crate) fn on_opened(&mut self, id: CallId, _: &PersonName) {
        self.call(id).opened += 1;
    }

    /// A Host runs a call.
    pub(crate) fn on_run(&mut self, id: CallId, _: &CallOpen) {
        let call = self.call(id);
        call.runs += 1;
        if call.runs > 1 && !call.retryable {
            let what = if call.part { "an attempt" } else { "a call" };
            let runs = call.runs;
            self.fail(format!(
                "{what} that may run once ({}) ran {runs} times",
                short(id.as_uuid())
            ));
        }
    }

    /// A Host died with a call, or with what it had to tell of it.
    pub(crate) fn on_host_died(&mut self, id: CallId) {
        self.call(id).lost += 1;
    }

    /// The controller has a call's record; one that is told again is the same.
    pub(crate) fn on_recorded(&mut self, record: &CallRecord) {
        let call = self.call(record.call);
        call.records
            .insert((record.host, record.lease, record.submitted));
        if call.records.len() > call.opened as usize {
            let (told, opened) = (call.records.len(), call.opened);
            self.fail(format!(
                "call {} was taken {opened} times and is told of {told} times",
                short(record.call.as_uuid())
            ));
        }
    }

    // === maps ===

    /// A map begins.
    pub(crate) fn on_map(&mut self, job: JobId, total: u64) {
        self.maps.entry(job).or_default().total = total;
    }

    /// A result of a map counts.
    pub(crate) fn on_result(&mut self, job: JobId, part: u64) {
        let map = self.maps.entry(job).or_default();
        if !map.results.insert(part) || part >= map.total {
            self.fail(format!(
                "part {part} of map {} was counted twice",
                short(job.as_uuid())
            ));
        }
    }

    /// A map is over.
    pub(crate) fn on_map_over(&mut self, job: JobId, done: u64, failed: u64, complete: bool) {
        let map = self.maps.entry(job).or_default();
        map.over = true;
        let known = map.results.len() as u64;
        if done != known || (complete && done + failed != map.total) {
            let total = map.total;
            self.fail(format!(
                "map {} of {total} says {done} done and {failed} failed; there are {known} results",
                short(job.as_uuid())
            ));
        }
    }

    /// Nobody goes on with a map.
    pub(crate) fn on_map_abandoned(&mut self, job: JobId) {
        self.maps.entry(job).or_default().abandoned = true;
    }

    /// A report of a map's progress; heard twice, it counts once.
    pub(crate) fn on_reported(&mut self, job: &JobProgress) {
        if let Some(report) = job.report {
            self.reports.insert(report);
        }
    }

    // === the end ===

    /// All is idle: nothing that was accepted is lost.
    pub(crate) fn close(&mut self) {
        let mut lost = None;
        for (id, call) in &self.calls {
            let told = call.part || call.told || call.caller_gone;
            let ends = call.records.len() + call.lost as usize;
            // Of the parts of maps only those that failed are told one by one.
            let recorded = call.part || ends >= call.opened as usize;
            if !told || !recorded {
                let (records, opened) = (call.records.len(), call.opened);
                lost = Some(format!(
                    "call {} is lost: told {told}, taken {opened} times, {records} records, {} lost",
                    short(id.as_uuid()),
                    call.lost
                ));
                break;
            }
        }
        for (job, map) in &self.maps {
            if !map.over && !map.abandoned {
                lost = Some(format!("map {} is lost", short(job.as_uuid())));
            }
        }
        if let Some(lost) = lost {
            self.fail(lost);
        }
    }
}
