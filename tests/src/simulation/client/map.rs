//! A map: the real core says which part goes where; each lease is a seat.

use std::{collections::BTreeSet, time::Duration};

use gridmart_schemas::{
    id::{LeaseId, NodeId},
    problem::{Code, Problem},
    wire::{call::CallCancel, record::CallEnd},
};
use gridmart_sdk::cores::{
    map::{Core, Outcome, Rules, Seat, is_lease_over},
    tries::{Next, Tries},
};

use super::{
    Client, Folder, MapRun, Part, Stage, Timer, Want, Work, search::ROUND_INTERVAL, short,
};
use crate::simulation::{message::Body, stage::SECOND};

/// A refused entry is tried again after this, while Hosts are at work.
const ENTER_INTERVAL: Duration = Duration::from_secs(5);
/// Hosts that cannot be dialled, while none is at work, before it is given up.
const UNDIALLED_MAX: usize = 5;
/// A part is late when it runs for so long.
const LATE_MIN: Duration = Duration::from_secs(2);

impl Client {
    pub(super) fn begin_map(&mut self, stage: &mut Stage) {
        let app = stage.dice.index(self.apps.len());
        let job = stage.ids.job();
        let rules = Rules {
            attempts_max: self.apps[app].attempts_max,
            retryable: self.apps[app].retryable,
        };
        let total = stage.dice.between(1, 24);
        stage.ledger.on_map(job, total);
        stage.note("a map begins", short(job.as_uuid()), total, || {
            format!("map {} of {total} parts", short(job.as_uuid()))
        });
        self.folder = Some(Folder {
            job,
            app,
            total,
            rules,
            results: BTreeSet::new(),
            over: false,
        });
        self.resume_map(stage);
    }

    /// Goes on with what has no result on the disk.
    pub(super) fn resume_map(&mut self, stage: &mut Stage) {
        let Some(folder) = &self.folder else { return };
        let total = usize::try_from(folder.total).unwrap_or(0);
        let results = &folder.results;
        let core = Core::new(
            folder.rules,
            total,
            |part| results.contains(&part),
            |_| false,
        );
        let run = MapRun {
            job: folder.job,
            app: folder.app,
            core,
            slots: u32::try_from(stage.dice.between(1, 6)).unwrap_or(1),
            search: None,
            enter_after: None,
            avoid: Vec::new(),
            last_seat: 0,
            tries: Tries::new(UNDIALLED_MAX),
        };
        if let Some(alive) = &mut self.alive {
            alive.map = Some(run);
        }
        self.enter_map(stage);
        self.look_whether_over(stage);
    }

    /// Asks for slots, if there are parts for more than there are.
    pub(super) fn enter_map(&mut self, stage: &mut Stage) {
        let now = stage.instant(self.node());
        let Some(alive) = &mut self.alive else { return };
        let Some(map) = &mut alive.map else { return };
        let counts = map.core.counts();
        let again = map.enter_after.is_none_or(|when| now >= when);
        if map.search.is_some() || counts.pending == 0 || !again {
            return;
        }
        let held: u32 = alive
            .links
            .values()
            .filter(|link| link.want == Want::Map && !link.recalled)
            .map(|link| link.lease.slots)
            .sum();
        let unfinished = u32::try_from(counts.pending + counts.running).unwrap_or(u32::MAX);
        let wanted = map.slots.min(unfinished).saturating_sub(held);
        if wanted == 0 {
            return;
        }
        map.enter_after = None;
        let (app, avoid) = (map.app, map.avoid.clone());
        let search = self.search(Want::Map, app, wanted, avoid, 0);
        if let Some(alive) = &mut self.alive
            && let Some(map) = &mut alive.map
        {
            map.search = search;
        }
        if let Some(search) = search {
            self.advance(stage, search);
        }
    }

    fn enter_later(&mut self, stage: &mut Stage, wait: Duration) {
        let node = self.node();
        let now = stage.instant(node);
        if let Some(map) = self.alive.as_mut().and_then(|alive| alive.map.as_mut()) {
            map.enter_after = Some(now + wait);
            let wait = u64::try_from(wait.as_micros()).unwrap_or(SECOND) + 1;
            stage.timer(node, wait, Timer::MapEnter);
        }
    }

    /// No Element gives slots.
    pub(super) fn on_map_refused(&mut self, stage: &mut Stage, problem: &Problem) {
        let Some(alive) = &mut self.alive else { return };
        let Some(map) = &mut alive.map else { return };
        map.search = None;
        let works = alive.links.values().any(|link| link.want == Want::Map);
        if problem.code == Code::Terminated || !works {
            return self.end_map(stage, false);
        }
        self.enter_later(stage, ENTER_INTERVAL);
    }

    pub(super) fn on_seat_undialled(&mut self, stage: &mut Stage, host: NodeId, problem: &Problem) {
        let now = stage.instant(self.node());
        let Some(alive) = &mut self.alive else { return };
        let Some(map) = &mut alive.map else { return };
        let next = map.tries.on_unusable(problem, now);
        map.enter_after = None;
        if next != Next::Anew {
            map.avoid.push(host);
        }
        let search = map.search.take();
        if let Some(search) = search {
            self.leave(stage, search);
        }
        let Some(alive) = &mut self.alive else { return };
        if next == Next::Over && !alive.links.values().any(|link| link.want == Want::Map) {
            return self.end_map(stage, false);
        }
        if next == Next::Anew {
            return self.enter_later(stage, Duration::from_micros(ROUND_INTERVAL));
        }
        self.enter_map(stage);
    }

    // === seats ===

    /// A lease of the map is attached.
    pub(super) fn on_seat(&mut self, stage: &mut Stage, lease: LeaseId) {
        let Some(alive) = &mut self.alive else { return };
        let Some(map) = &mut alive.map else {
            return self.drop_link(stage, lease);
        };
        let Some(link) = alive.links.get_mut(&lease) else {
            return;
        };
        map.tries.on_attached();
        map.last_seat += 1;
        map.core.on_seat_added(map.last_seat, link.lease.host);
        link.seat = Some(map.last_seat);
        self.fill(stage);
        self.give_back_if_spent(stage, lease);
    }

    /// Gives pending parts to seats that have room.
    fn fill(&mut self, stage: &mut Stage) {
        let Some(alive) = &mut self.alive else { return };
        let Some(map) = &mut alive.map else { return };
        let now = stage.instant(super::Node::Client(self.number));
        let mut opened = Vec::new();
        for (lease, link) in &mut alive.links {
            let Some(seat) = link.seat else { continue };
            while !link.recalled
                && link.attached
                && (link.work.len() as u64) < u64::from(link.lease.slots)
                && let Some(assignment) = map.core.assign(seat)
            {
                let call = stage.ids.call();
                stage.ledger.on_part(call);
                link.last_channel += 1;
                let part = Part {
                    assignment,
                    call,
                    opened: now,
                    cancelled: false,
                };
                link.work.insert(link.last_channel, Work::Part(part));
                opened.push((*lease, link.last_channel));
            }
        }
        for (lease, channel) in opened {
            self.open(stage, lease, channel, None);
        }
        self.look_whether_over(stage);
    }

    /// Runs late parts a second time, when nothing else is left to do.
    pub(super) fn speculate(&mut self, stage: &mut Stage) {
        let now = stage.instant(self.node());
        let Some(alive) = &mut self.alive else { return };
        let Some(map) = &mut alive.map else { return };
        let mut late: Vec<_> = alive
            .links
            .values()
            .flat_map(|link| link.work.values())
            .filter_map(|work| match work {
                Work::Part(part) => Some((part.opened, part.assignment.part)),
                Work::Call(_) => None,
            })
            .filter(|(opened, _)| now.saturating_duration_since(*opened) >= LATE_MIN)
            .collect();
        late.sort_unstable();
        let mut opened = Vec::new();
        for (lease, link) in &mut alive.links {
            let room = (link.work.len() as u64) < u64::from(link.lease.slots);
            let Some(seat) = link
                .seat
                .filter(|_| room && link.attached && !link.recalled)
            else {
                continue;
            };
            let late = late.iter().map(|(_, part)| *part);
            if let Some(assignment) = map.core.speculate(seat, late) {
                let call = stage.ids.call();
                stage.ledger.on_part(call);
                link.last_channel += 1;
                let part = Part {
                    assignment,
                    call,
                    opened: now,
                    cancelled: false,
                };
                link.work.insert(link.last_channel, Work::Part(part));
                opened.push((*lease, link.last_channel));
            }
        }
        for (lease, channel) in opened {
            self.open(stage, lease, channel, None);
        }
    }

    // === attempts ===

    pub(super) fn on_part_end(
        &mut self,
        stage: &mut Stage,
        lease: LeaseId,
        channel: u32,
        end: &CallEnd,
    ) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let (Some(link), Some(map)) = (alive.links.get_mut(&lease), alive.map.as_mut()) else {
            return;
        };
        let Some(Work::Part(part)) = link.work.remove(&channel) else {
            return;
        };
        if let Some(conn) = link.conn {
            stage.tell(node, conn, Body::Close(channel));
        }
        let (number, seat) = (part.assignment.part, link.seat.unwrap_or_default());
        if end.succeeded() {
            if let Outcome::First { others } = map.core.on_done(seat, number) {
                let job = map.job;
                if let Some(folder) = &mut self.folder {
                    folder.results.insert(number);
                }
                stage.ledger.on_result(job, number);
                self.cancel_others(stage, &others, number);
            }
        } else {
            let hopeless = end.code == Some(Code::Terminated);
            map.core.on_part_failed(seat, number, hopeless);
        }
        self.give_back_if_spent(stage, lease);
        self.fill(stage);
    }

    fn cancel_others(&mut self, stage: &mut Stage, others: &[Seat], number: u64) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        for link in alive.links.values_mut() {
            if !link.seat.is_some_and(|seat| others.contains(&seat)) {
                continue;
            }
            for (channel, work) in &mut link.work {
                if let Work::Part(part) = work
                    && part.assignment.part == number
                {
                    part.cancelled = true;
                    let reason = "another attempt was faster".to_owned();
                    if let Some(conn) = link.conn {
                        stage.tell(node, conn, Body::Cancel(*channel, CallCancel { reason }));
                    }
                }
            }
        }
    }

    pub(super) fn on_part_refused(
        &mut self,
        stage: &mut Stage,
        lease: LeaseId,
        part: &Part,
        problem: &Problem,
    ) {
        let Some(alive) = &mut self.alive else { return };
        let (Some(link), Some(map)) = (alive.links.get_mut(&lease), alive.map.as_mut()) else {
            return;
        };
        let (number, seat) = (part.assignment.part, link.seat.unwrap_or_default());
        if is_lease_over(problem.code) {
            link.recalled = true;
            map.core.on_not_begun(seat, number);
        } else {
            map.core.on_part_failed(seat, number, !problem.retryable);
        }
        self.give_back_if_spent(stage, lease);
        self.fill(stage);
    }

    pub(super) fn give_back_if_spent(&mut self, stage: &mut Stage, lease: LeaseId) {
        let Some(alive) = &mut self.alive else { return };
        let Some(link) = alive.links.get(&lease) else {
            return;
        };
        let Some(seat) = link.seat.filter(|_| link.recalled && link.work.is_empty()) else {
            return;
        };
        if let Some(map) = &mut alive.map {
            map.core.on_seat_lost(seat);
        }
        self.drop_link(stage, lease);
        self.enter_later(stage, ENTER_INTERVAL / 5);
    }

    /// The Host or the lease is gone: what it had runs elsewhere.
    pub(super) fn on_seat_lost(&mut self, stage: &mut Stage, seat: Seat) {
        if let Some(map) = self.alive.as_mut().and_then(|alive| alive.map.as_mut()) {
            map.core.on_seat_lost(seat);
            map.enter_after = None;
        }
        self.fill(stage);
        self.enter_map(stage);
        self.look_whether_over(stage);
    }

    fn look_whether_over(&mut self, stage: &mut Stage) {
        let map = self.alive.as_ref().and_then(|alive| alive.map.as_ref());
        if map.is_some_and(|map| map.core.is_complete()) {
            self.end_map(stage, true);
        }
    }

    /// The map is over: all of its leases go back.
    pub(super) fn end_map(&mut self, stage: &mut Stage, complete: bool) {
        let node = self.node();
        let Some(alive) = &mut self.alive else { return };
        let Some(map) = alive.map.take() else { return };
        let counts = map.core.counts();
        stage.note(
            "a map is over",
            short(map.job.as_uuid()),
            counts.done,
            || format!("map {}: {counts:?}", short(map.job.as_uuid())),
        );
        stage
            .ledger
            .on_map_over(map.job, counts.done, counts.failed, complete);
        if let Some(folder) = &mut self.folder {
            folder.over = true;
        }
        let mine: Vec<LeaseId> = alive
            .links
            .iter()
            .filter(|(_, link)| link.want == Want::Map)
            .map(|(lease, _)| *lease)
            .collect();
        for lease in mine {
            let Some(alive) = &mut self.alive else { return };
            if let Some(link) = alive.links.get_mut(&lease)
                && let Some(conn) = link.conn
            {
                for channel in std::mem::take(&mut link.work).into_keys() {
                    let reason = "the map was stopped".to_owned();
                    stage.tell(node, conn, Body::Cancel(channel, CallCancel { reason }));
                }
            }
            self.drop_link(stage, lease);
        }
        if let Some(search) = map.search {
            self.leave(stage, search);
        }
    }
}
