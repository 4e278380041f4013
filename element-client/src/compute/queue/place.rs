//! Places in the queue: the order in which entries will be served if nothing
//! else happens and each takes one slot.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use gridmart_schemas::id::PersonName;

use super::{
    Queue,
    application::Flow,
    effect::Effect,
    entry::{EntryKey, Rank},
};

/// Beyond this many waiting entries a new one is told the length of the queue
/// as its place; the next tick corrects it.
const EXACT_PLACE_MAX: u32 = 256;
/// Places that are told at a time; the next tick goes on.
const TOLD_MAX: usize = 512;
/// A place is told anew when it has changed by this part of itself: who is far
/// from being served is not told of every step.
const TOLD_CHANGE_PART: u32 = 16;
/// The order is made out anew after a pause that grows with the queue, so that
/// it never takes more than a small share of the time.
const ENTRIES_PER_SECOND: u32 = 5_000;

impl Queue {
    /// All waiting entries with their places, from 1.
    pub fn order(&self) -> Vec<(u32, EntryKey)> {
        let mut lines: HashMap<&PersonName, Vec<(Rank, EntryKey)>> = HashMap::new();
        for entry in self.entries.values().filter(|entry| entry.missing() > 0) {
            let line = lines.entry(&entry.wanted.asker.person).or_default();
            line.push((entry.rank(), entry.wanted.key));
        }
        let mut turns: BTreeSet<(Flow, usize)> = BTreeSet::new();
        for (person, line) in &mut lines {
            line.sort_unstable();
            let standing = self.people.get(*person);
            let (held, turn) = standing.map_or((0, 0), |entry| (entry.held, entry.turn));
            if let Some(((priority, sequence), _)) = line.first() {
                let flow = Flow {
                    priority: *priority,
                    held,
                    turn,
                    sequence: *sequence,
                    person: PersonName::clone(person),
                };
                turns.insert((flow, 0));
            }
        }
        let mut served = self.turns.now();
        let mut order = Vec::with_capacity(self.entries.len());
        let mut position = 0;
        while let Some((flow, at)) = turns.pop_first() {
            let Some(line) = lines.get(&flow.person) else {
                continue;
            };
            served = served.max(flow.turn);
            if let Some((_, key)) = line.get(at) {
                position += 1;
                order.push((position, *key));
            }
            if let Some(((priority, sequence), _)) = line.get(at + 1) {
                let next = Flow {
                    priority: *priority,
                    held: flow.held.saturating_add(1),
                    turn: served + 1,
                    sequence: *sequence,
                    person: flow.person,
                };
                turns.insert((next, at + 1));
            }
        }
        order
    }

    pub(super) fn place_of(&self, key: EntryKey) -> u32 {
        if self.waiting > EXACT_PLACE_MAX {
            return self.waiting;
        }
        let place = self.order().into_iter().find(|(_, there)| *there == key);
        place.map_or(1, |(position, _)| position)
    }

    /// Tells waiting clients their places, if they have changed by enough.
    pub(super) fn tell_positions(&mut self, now: Instant) {
        let is_due = self.positions_due.is_none_or(|due| now >= due);
        if !is_due || !std::mem::take(&mut self.moved) || self.entries.is_empty() {
            return;
        }
        let seconds = u32::try_from(self.entries.len()).unwrap_or(u32::MAX) / ENTRIES_PER_SECOND;
        self.positions_due = Some(now + Duration::from_secs(seconds.into()));
        let mut told = 0;
        let before = std::mem::take(&mut self.told_to);
        for (position, key) in self.order() {
            // Half for those in front, half for those who were not told before.
            if told >= TOLD_MAX / 2 && position <= before {
                continue;
            }
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            if position.abs_diff(entry.position) <= position / TOLD_CHANGE_PART {
                continue;
            }
            entry.position = position;
            self.effects.push(Effect::Position {
                entry: key,
                position,
            });
            told += 1;
            if told >= TOLD_MAX {
                (self.moved, self.told_to) = (true, position);
                return;
            }
        }
    }
}
