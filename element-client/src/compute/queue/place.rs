//! Places in the queue: the order in which entries will be served if nothing
//! else happens and each takes one slot.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use gridmart_schemas::id::PersonName;

use super::{
    Queue,
    effect::Effect,
    entry::{EntryKey, Rank},
};

/// Beyond this many waiting entries a new one is told the length of the queue
/// as its place; the next tick corrects it.
const EXACT_PLACE_MAX: u32 = 256;

impl Queue {
    /// All waiting entries with their places, from 1.
    pub fn order(&self) -> Vec<(u32, EntryKey)> {
        let mut lines: HashMap<&PersonName, Vec<(Rank, EntryKey)>> = HashMap::new();
        for entry in self.entries.values().filter(|entry| entry.missing() > 0) {
            let line = lines.entry(&entry.wanted.asker.person).or_default();
            line.push((entry.rank(), entry.wanted.key));
        }
        let mut turns: BTreeSet<(Reverse<i32>, u32, u64, &PersonName, usize)> = BTreeSet::new();
        for (person, line) in &mut lines {
            line.sort_unstable();
            let held = self.people.get(*person).map_or(0, |entry| entry.held);
            if let Some(((priority, sequence), _)) = line.first() {
                turns.insert((*priority, held, *sequence, person, 0));
            }
        }
        let mut order = Vec::with_capacity(self.entries.len());
        let mut position = 0;
        while let Some((_, held, _, person, at)) = turns.pop_first() {
            let Some(line) = lines.get(person) else {
                continue;
            };
            if let Some((_, key)) = line.get(at) {
                position += 1;
                order.push((position, *key));
            }
            if let Some(((priority, sequence), _)) = line.get(at + 1) {
                turns.insert((*priority, held.saturating_add(1), *sequence, person, at + 1));
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

    /// Tells each waiting client its place, if it has changed.
    pub(super) fn tell_positions(&mut self) {
        if !std::mem::take(&mut self.moved) || self.entries.is_empty() {
            return;
        }
        for (position, key) in self.order() {
            if let Some(entry) = self.entries.get_mut(&key)
                && entry.position != position
            {
                entry.position = position;
                self.effects.push(Effect::Position {
                    entry: key,
                    position,
                });
            }
        }
    }
}
