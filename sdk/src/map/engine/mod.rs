//! Runs the parts of a map: one task that listens to all Hosts, decides with
//! `core`, and hands reads and writes to the disk thread.
//!
//! Work per wake-up, not per part: what is ready is taken together, frames and
//! records leave in batches. `hosts` has what happens to leases, `parts` what
//! happens to attempts.

mod hosts;
mod lines;
mod parts;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use gridmart_schemas::{
    id::{JobId, NodeId, RequestId},
    problem::Problem,
    wire::{call::CallOpen, queue::OverdueAnswer},
};
use tokio::time::MissedTickBehavior;

use super::{
    core::{Core, Seat},
    disk::{Disk, DiskDone, DiskJob, Kept, Wanted},
    parts::Parts,
    report::{FailedPart, HostShare},
    results::Record,
    seat::{MapSeat, News},
};
use lines::Lines;

use crate::{
    error::Error,
    grid::{Avoided, CallsStream, Grid, LeaseHold, Need, Placement, Waited, tries::Tries},
};

/// How often progress is told and silence is noticed.
const TICK: Duration = Duration::from_millis(100);
/// Events that are taken together, at most.
const BATCH_EVENTS_MAX: usize = 64;
/// Records are written when there are so many, or so many bytes of them, or a
/// tick has passed, or no part is pending.
const BATCH_RECORDS: usize = 32;
const BATCH_BYTES: usize = 64 * 1024;

/// What a run needs to know.
pub(crate) struct RunPlan {
    pub(crate) job: JobId,
    pub(crate) need: Need,
    pub(crate) slots: u32,
    pub(crate) hosts_max: Option<u32>,
    pub(crate) priority: i32,
    pub(crate) request: RequestId,
    /// Call, part and attempt are filled in for each.
    pub(crate) open: CallOpen,
}

/// What a run tells while it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunProgress {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) running: u64,
    pub(crate) hosts: u32,
    pub(crate) position: Option<u32>,
}

/// What a run has done.
#[derive(Default)]
pub(crate) struct RunSummary {
    pub(crate) failed: BTreeMap<u64, FailedPart>,
    pub(crate) shares: HashMap<NodeId, HostShare>,
    pub(crate) attempts: u64,
    pub(crate) done: u64,
}

/// What was begun beside the streams.
enum Side {
    Dialled {
        hold: Arc<LeaseHold>,
        stream: Result<CallsStream, Problem>,
    },
    Reattached {
        seat: Seat,
        stream: Result<CallsStream, Problem>,
    },
    Probed {
        seat: Seat,
        verdict: Result<OverdueAnswer, Problem>,
    },
    Answered {
        seat: Seat,
        frame: Vec<u8>,
    },
}

/// A running map.
pub(crate) struct Engine<'a> {
    grid: Arc<Grid>,
    plan: RunPlan,
    parts: Parts,
    core: Core,
    disk: Disk,
    lines: Lines,
    sides: FuturesUnordered<BoxFuture<'static, Side>>,
    waited: Option<Waited>,
    /// Hosts that could not be dialled.
    avoid: Avoided,
    tries: Tries,
    /// When to enter the queue again, after a refusal.
    enter_after: Option<Instant>,
    position: Option<u32>,
    last_seat: Seat,
    last_serial: u32,
    news: Vec<News>,
    reads: Vec<Wanted>,
    records: Vec<Record>,
    record_bytes: usize,
    kept: Vec<Kept>,
    writes_due: bool,
    writes_open: usize,
    summary: RunSummary,
    progress: &'a (dyn Fn(RunProgress) + Send + Sync),
    told: RunProgress,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(
        grid: Arc<Grid>,
        plan: RunPlan,
        parts: Parts,
        core: Core,
        disk: Disk,
        progress: &'a (dyn Fn(RunProgress) + Send + Sync),
    ) -> Self {
        Self {
            lines: Lines::new(&grid),
            grid,
            plan,
            parts,
            core,
            disk,
            sides: FuturesUnordered::new(),
            waited: None,
            avoid: Avoided::default(),
            tries: Tries::new(hosts::UNDIALLED_MAX),
            enter_after: None,
            position: None,
            last_seat: 0,
            last_serial: 0,
            news: Vec::new(),
            reads: Vec::new(),
            records: Vec::new(),
            record_bytes: 0,
            kept: Vec::new(),
            writes_due: false,
            writes_open: 0,
            summary: RunSummary::default(),
            progress,
            told: RunProgress::default(),
        }
    }

    /// Runs all parts to their ends.
    pub(crate) async fn run(&mut self) -> Result<(), Error> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.enter_queue();
            self.fill();
            self.flush().await;
            if self.core.is_complete() && self.writes_open == 0 && self.records.is_empty() {
                break;
            }
            tokio::select! {
                Some((seat, event)) = self.lines.streams.next() => self.on_seat_event(seat, event)?,
                done = self.disk.next() => self.on_disk(done)?,
                Some(side) = self.sides.next() => self.on_side(side)?,
                placement = placed(&mut self.waited) => self.on_placement(placement)?,
                _ = tick.tick() => self.on_tick(),
            }
            self.take_ready()?;
        }
        self.tell_progress();
        self.summary.attempts = self.core.counts().attempts;
        self.summary.done = self.core.counts().done;
        Ok(())
    }

    /// Gives what was done, and the results file's thread, however it ended.
    pub(crate) fn into_parts(self) -> (RunSummary, Disk) {
        (self.summary, self.disk)
    }

    /// Takes what has come meanwhile: one round for all of it.
    fn take_ready(&mut self) -> Result<(), Error> {
        for _ in 0..BATCH_EVENTS_MAX {
            let event = self.lines.streams.next().now_or_never().flatten();
            let done = self.disk.try_next();
            if event.is_none() && done.is_none() {
                break;
            }
            if let Some((seat, event)) = event {
                self.on_seat_event(seat, event)?;
            }
            if let Some(done) = done {
                self.on_disk(Some(done))?;
            }
        }
        Ok(())
    }

    async fn flush(&mut self) {
        if !self.reads.is_empty() {
            let reads = std::mem::take(&mut self.reads);
            self.disk.give(DiskJob::Read(reads)).await;
        }
        let due = self.writes_due
            || self.records.len() >= BATCH_RECORDS
            || self.record_bytes >= BATCH_BYTES
            || self.core.counts().pending == 0;
        if due && !self.records.is_empty() {
            let job = DiskJob::Write(
                std::mem::take(&mut self.records),
                std::mem::take(&mut self.kept),
            );
            self.record_bytes = 0;
            self.writes_open += 1;
            self.disk.give(job).await;
        }
        self.writes_due = false;
        for seat in self.lines.seats.values_mut() {
            seat.flush();
        }
    }

    fn on_disk(&mut self, done: Option<DiskDone>) -> Result<(), Error> {
        match done {
            Some(DiskDone::Read(pieces)) => {
                for (wanted, data) in pieces {
                    if let Some(seat) = self.lines.seats.get_mut(&wanted.seat) {
                        seat.send_input(wanted.channel, wanted.at, &data, &mut self.plan.open);
                    }
                }
                Ok(())
            }
            Some(DiskDone::Written(kept)) => {
                self.writes_open -= 1;
                for (seat, channel) in kept {
                    if let Some(seat) = self.lines.seats.get_mut(&seat) {
                        seat.close_channel(channel);
                    }
                }
                Ok(())
            }
            Some(DiskDone::Failed(action, source)) => Err(self.disk_error(action, source)),
            None => Err(self.disk_error("keep", io::Error::other("the disk thread has ended"))),
        }
    }

    fn disk_error(&self, action: &'static str, source: io::Error) -> Error {
        Error::Local {
            action,
            target: format!("map {}", self.plan.job),
            source,
        }
    }

    fn on_tick(&mut self) {
        self.writes_due = true;
        self.probe_silent();
        self.speculate();
        self.tell_progress();
    }

    fn tell_progress(&mut self) {
        let counts = self.core.counts();
        let mut hosts: Vec<_> = self.lines.seats.values().map(|seat| seat.host).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let progress = RunProgress {
            done: counts.done,
            failed: counts.failed,
            running: counts.running,
            hosts: u32::try_from(hosts.len()).unwrap_or(u32::MAX),
            position: self.position,
        };
        if progress != self.told {
            self.told = progress;
            (self.progress)(progress);
        }
    }
}

async fn placed(waited: &mut Option<Waited>) -> Option<Result<Placement, Error>> {
    match waited {
        Some(waited) => waited.next().await,
        None => std::future::pending().await,
    }
}
