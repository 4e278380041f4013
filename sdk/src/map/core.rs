//! Which part is where: the decisions of a map, without I/O and without a
//! clock of its own.
//!
//! Invariants: a part's result is counted once; an unfinished part is pending,
//! or on at least one seat, or failed for good; no part is tried more often
//! than allowed; what a lost seat had is pending again, or failed.
//!
//! A *seat* is one lease of one Host.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gridmart_schemas::{id::NodeId, problem::Code};

/// A seat's number within one run.
pub type Seat = u32;

/// What the application allows.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Attempts of one part, lost Hosts included; at least 1.
    pub attempts_max: u32,
    /// Whether a part that failed by itself, or is late, is tried again.
    pub retryable: bool,
}

/// One attempt to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Which part, from 0.
    pub part: u64,
    /// From 1.
    pub attempt: u32,
}

/// What an ended attempt means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first complete one: it counts. Other attempts are to be cancelled.
    First {
        /// Where they run.
        others: Vec<Seat>,
    },
    /// Another attempt has won, or this one is unknown.
    Late,
    /// The part is tried again, or another attempt of it runs still.
    Again,
    /// The part has failed for good.
    Failed {
        /// How many there were.
        attempts: u32,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Pending,
    Running,
    Done,
    Failed,
    /// Not to be run by this run.
    Skipped,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    state: State,
    /// Attempts begun.
    attempts: u16,
    /// Attempts on seats now.
    running: u8,
}

#[derive(Debug)]
struct SeatParts {
    host: NodeId,
    running: BTreeSet<u64>,
}

/// How many parts are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Wait for a seat.
    pub pending: u64,
    /// On at least one seat.
    pub running: u64,
    /// With a result.
    pub done: u64,
    /// Failed for good.
    pub failed: u64,
    /// Attempts begun, of all parts.
    pub attempts: u64,
}

/// The state of all parts.
#[derive(Debug)]
pub struct Core {
    rules: Rules,
    parts: Vec<Part>,
    /// Parts that came back; run before new ones.
    again: VecDeque<u64>,
    /// No part before this one is pending, but for those in `again`.
    next: usize,
    seats: BTreeMap<Seat, SeatParts>,
    counts: Counts,
}

impl Core {
    /// All parts; `done` have results already, `skipped` are left alone.
    pub fn new(
        rules: Rules,
        total: usize,
        done: impl Fn(u64) -> bool,
        skipped: impl Fn(u64) -> bool,
    ) -> Self {
        let mut counts = Counts::default();
        let parts = (0..total as u64)
            .map(|number| {
                let state = if done(number) {
                    counts.done += 1;
                    State::Done
                } else if skipped(number) {
                    State::Skipped
                } else {
                    counts.pending += 1;
                    State::Pending
                };
                Part {
                    state,
                    ..Part::default()
                }
            })
            .collect();
        let rules = Rules {
            attempts_max: rules.attempts_max.max(1),
            ..rules
        };
        Self {
            rules,
            parts,
            again: VecDeque::new(),
            next: 0,
            seats: BTreeMap::new(),
            counts,
        }
    }

    /// How many parts are in which state.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Nothing is left to do in this run.
    pub const fn is_complete(&self) -> bool {
        self.counts.pending == 0 && self.counts.running == 0
    }

    /// A lease may be used.
    pub fn on_seat_added(&mut self, seat: Seat, host: NodeId) {
        self.seats.insert(
            seat,
            SeatParts {
                host,
                running: BTreeSet::new(),
            },
        );
    }

    /// Gives the next part to a seat.
    pub fn assign(&mut self, seat: Seat) -> Option<Assignment> {
        self.seats.get(&seat)?;
        let part = self.pending_part()?;
        self.counts.pending -= 1;
        self.counts.running += 1;
        Some(self.begin(seat, part))
    }

    fn pending_part(&mut self) -> Option<u64> {
        if let Some(part) = self.again.pop_front() {
            return Some(part);
        }
        let start = self.next.min(self.parts.len());
        let found = self.parts[start..]
            .iter()
            .position(|p| p.state == State::Pending && p.attempts == 0)?;
        self.next = start + found + 1;
        Some((start + found) as u64)
    }

    fn begin(&mut self, seat: Seat, number: u64) -> Assignment {
        let part = &mut self.parts[index(number)];
        part.state = State::Running;
        part.attempts = part.attempts.saturating_add(1);
        part.running += 1;
        self.counts.attempts += 1;
        let attempt = u32::from(part.attempts);
        if let Some(parts) = self.seats.get_mut(&seat) {
            parts.running.insert(number);
        }
        Assignment {
            part: number,
            attempt,
        }
    }

    /// Begins a second attempt of a late part on another Host. `late` lists
    /// candidates, the latest first.
    pub fn speculate(
        &mut self,
        seat: Seat,
        late: impl IntoIterator<Item = u64>,
    ) -> Option<Assignment> {
        if !self.rules.retryable || self.counts.pending > 0 {
            return None;
        }
        let host = self.seats.get(&seat)?.host;
        let part = late
            .into_iter()
            .find(|number| self.may_double(*number, host))?;
        Some(self.begin(seat, part))
    }

    fn may_double(&self, number: u64, host: NodeId) -> bool {
        let Some(part) = self.parts.get(index(number)) else {
            return false;
        };
        part.state == State::Running
            && part.running == 1
            && u32::from(part.attempts) < self.rules.attempts_max
            && !self
                .seats
                .values()
                .any(|seat| seat.host == host && seat.running.contains(&number))
    }

    /// Takes an attempt off its seat; false: it was not there.
    fn leave(&mut self, seat: Seat, number: u64) -> bool {
        let there = self
            .seats
            .get_mut(&seat)
            .is_some_and(|parts| parts.running.remove(&number));
        if there && let Some(part) = self.parts.get_mut(index(number)) {
            part.running = part.running.saturating_sub(1);
        }
        there
    }

    /// An attempt has ended well.
    pub fn on_done(&mut self, seat: Seat, number: u64) -> Outcome {
        if !self.leave(seat, number) || self.parts[index(number)].state != State::Running {
            return Outcome::Late;
        }
        self.parts[index(number)].state = State::Done;
        self.counts.running -= 1;
        self.counts.done += 1;
        let others = self
            .seats
            .iter()
            .filter(|(_, parts)| parts.running.contains(&number))
            .map(|(seat, _)| *seat);
        Outcome::First {
            others: others.collect(),
        }
    }

    /// An attempt has failed by itself; `hopeless`: trying again cannot help.
    pub fn on_part_failed(&mut self, seat: Seat, number: u64, hopeless: bool) -> Outcome {
        if !self.leave(seat, number) {
            return Outcome::Late;
        }
        self.back(number, self.rules.retryable && !hopeless)
    }

    /// An attempt never began: it does not count.
    pub fn on_not_begun(&mut self, seat: Seat, number: u64) -> Outcome {
        if !self.leave(seat, number) {
            return Outcome::Late;
        }
        let part = &mut self.parts[index(number)];
        part.attempts = part.attempts.saturating_sub(1);
        self.counts.attempts -= 1;
        self.back(number, true)
    }

    /// The part has one attempt less on a seat.
    fn back(&mut self, number: u64, again: bool) -> Outcome {
        let part = &mut self.parts[index(number)];
        if part.state != State::Running {
            return Outcome::Late;
        }
        if part.running > 0 {
            return Outcome::Again;
        }
        self.counts.running -= 1;
        if again && u32::from(part.attempts) < self.rules.attempts_max {
            part.state = State::Pending;
            self.again.push_back(number);
            self.counts.pending += 1;
            Outcome::Again
        } else {
            part.state = State::Failed;
            self.counts.failed += 1;
            Outcome::Failed {
                attempts: part.attempts.into(),
            }
        }
    }

    /// A seat is gone: all that it had comes back, or fails for good (told
    /// with the attempts made).
    pub fn on_seat_lost(&mut self, seat: Seat) -> Vec<(u64, u32)> {
        let Some(parts) = self.seats.remove(&seat) else {
            return Vec::new();
        };
        let mut failed = Vec::new();
        for number in parts.running {
            let part = &mut self.parts[index(number)];
            part.running = part.running.saturating_sub(1);
            if let Outcome::Failed { attempts } = self.back(number, true) {
                failed.push((number, attempts));
            }
        }
        failed
    }
}

/// Whether a Host refuses a part because the lease does not serve any more:
/// then it did not begin, and the lease takes no others.
pub const fn is_lease_over(code: Code) -> bool {
    matches!(
        code,
        Code::LeaseEnded
            | Code::LeaseUnknown
            | Code::NotAccepting
            | Code::TicketExpired
            | Code::TicketCut
            | Code::Unavailable
    )
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "parts are counted in memory"
)]
const fn index(part: u64) -> usize {
    part as usize
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn core(total: usize, attempts_max: u32, retryable: bool) -> Core {
        Core::new(
            Rules {
                attempts_max,
                retryable,
            },
            total,
            |_| false,
            |_| false,
        )
    }

    #[test]
    fn a_lost_seat_gives_its_parts_back_until_attempts_run_out() {
        let mut core = core(1, 2, false);
        for attempt in 1..=2 {
            core.on_seat_added(attempt, NodeId::generate());
            assert_eq!(core.assign(attempt), Some(Assignment { part: 0, attempt }));
            let failed = core.on_seat_lost(attempt);
            assert_eq!(failed.len(), usize::from(attempt == 2));
        }
        assert!(core.is_complete());
        assert_eq!(core.counts().failed, 1);
    }

    #[test]
    fn the_first_complete_attempt_wins() {
        let mut core = core(1, 3, true);
        core.on_seat_added(1, NodeId::generate());
        core.on_seat_added(2, NodeId::generate());
        core.assign(1);
        assert_eq!(core.speculate(1, [0]), None, "not on the same Host");
        assert_eq!(
            core.speculate(2, [0]),
            Some(Assignment {
                part: 0,
                attempt: 2
            })
        );
        assert_eq!(core.on_done(2, 0), Outcome::First { others: vec![1] });
        assert_eq!(core.on_done(1, 0), Outcome::Late);
        assert_eq!(core.counts().done, 1);
    }

    #[test]
    fn what_may_not_run_twice_is_never_doubled_nor_retried() {
        let mut core = core(2, 5, false);
        core.on_seat_added(1, NodeId::generate());
        core.on_seat_added(2, NodeId::generate());
        core.assign(1);
        core.assign(1);
        assert_eq!(core.speculate(2, [0, 1]), None);
        assert_eq!(
            core.on_part_failed(1, 0, false),
            Outcome::Failed { attempts: 1 }
        );
    }

    #[test]
    fn an_attempt_that_never_began_does_not_count() {
        let mut core = core(1, 1, false);
        core.on_seat_added(1, NodeId::generate());
        for _ in 0..10 {
            assert_eq!(core.assign(1).map(|a| a.attempt), Some(1));
            assert_eq!(core.on_not_begun(1, 0), Outcome::Again);
        }
    }

    #[test]
    fn done_and_skipped_parts_are_left_alone() {
        let mut core = Core::new(
            Rules {
                attempts_max: 1,
                retryable: true,
            },
            4,
            |p| p == 1,
            |p| p == 2,
        );
        core.on_seat_added(1, NodeId::generate());
        let taken: Vec<_> = std::iter::from_fn(|| core.assign(1))
            .map(|a| a.part)
            .collect();
        assert_eq!(taken, [0, 3]);
    }

    proptest! {
        /// Hosts come and go, parts fail and are doubled in any order: at the
        /// end each part is done once or failed for good, within its attempts.
        #[test]
        fn every_part_ends_once(
            total in 1usize..40,
            attempts_max in 1u32..5,
            retryable: bool,
            moves in prop::collection::vec((0u8..7, 0u32..4, 0usize..40), 0..400),
        ) {
            let mut core = core(total, attempts_max, retryable);
            let hosts: Vec<_> = (0..4).map(|_| NodeId::generate()).collect();
            let mut done: HashSet<u64> = HashSet::new();
            let mut failed: HashSet<u64> = HashSet::new();
            let mut begun: HashMap<u64, u32> = HashMap::new();
            let mut alive: HashSet<Seat> = HashSet::new();
            let running = |core: &Core, seat: Seat, pick: usize| -> Option<u64> {
                let parts = &core.seats.get(&seat)?.running;
                parts.iter().nth(pick % parts.len().max(1)).copied()
            };
            let ending = (0..2000u32).map(|i| (if i % 3 == 0 { 7 } else if i % 3 == 1 { 1 } else { 2 }, i % 4, 0));
            for (kind, seat, pick) in moves.into_iter().chain(ending) {
                match kind {
                    0 | 7 => if alive.insert(seat) { core.on_seat_added(seat, hosts[seat as usize]); }
                    1 => if let Some(given) = core.assign(seat) {
                        prop_assert!(given.attempt <= attempts_max);
                        *begun.entry(given.part).or_default() += 1;
                    }
                    2 => if let Some(part) = running(&core, seat, pick)
                        && let Outcome::First { .. } = core.on_done(seat, part)
                    {
                        prop_assert!(done.insert(part), "part {} counted twice", part);
                    }
                    3 => if let Some(part) = running(&core, seat, pick)
                        && let Outcome::Failed { .. } = core.on_part_failed(seat, part, pick % 5 == 0)
                    {
                        prop_assert!(failed.insert(part));
                    }
                    4 => {
                        alive.remove(&seat);
                        for (part, attempts) in core.on_seat_lost(seat) {
                            prop_assert!(attempts <= attempts_max);
                            prop_assert!(failed.insert(part));
                        }
                    }
                    5 => if let Some(given) = core.speculate(seat, (0..total as u64).rev()) {
                        prop_assert!(retryable && given.attempt <= attempts_max);
                        *begun.entry(given.part).or_default() += 1;
                    }
                    _ => if let Some(part) = running(&core, seat, pick) {
                        let outcome = core.on_not_begun(seat, part);
                        prop_assert!(outcome == Outcome::Again || outcome == Outcome::Late);
                        *begun.entry(part).or_default() -= 1;
                    }
                }
                let counts = core.counts();
                prop_assert_eq!(counts.pending + counts.running + counts.done + counts.failed, total as u64);
                if core.is_complete() { break; }
            }
            prop_assert!(core.is_complete());
            prop_assert_eq!(done.len() + failed.len(), total);
            prop_assert!(done.is_disjoint(&failed));
            prop_assert!(begun.values().all(|count| *count <= attempts_max));
        }
    }
}
