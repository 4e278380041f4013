//! Whose turn it is among people who hold equally much: who was served longest
//! ago.
//!
//! Start-time fair queueing (Goyal, Vin, Cheng 1996) with a slot as the unit: a
//! virtual time goes on with each slot that is given out; a person's turn comes
//! behind that of their last slot, also if they were away in between. So neither
//! a crowd of entries that came early nor a caller who comes back at once
//! starves anybody.

use std::collections::BTreeMap;

use gridmart_schemas::id::PersonName;

/// The virtual time, and who was served ahead of it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    now: u64,
    /// Turns that lie beyond `now`; all others begin at `now`.
    ahead: BTreeMap<PersonName, u64>,
}

impl Turns {
    /// The virtual time.
    pub(super) const fn now(&self) -> u64 {
        self.now
    }

    /// The turn of a person who begins to wait.
    pub(super) fn begin(&self, person: &PersonName) -> u64 {
        self.ahead.get(person).copied().unwrap_or(self.now)
    }

    /// A person whose turn it was got a slot; gives their next turn.
    pub(super) fn serve(&mut self, person: &PersonName, turn: u64) -> u64 {
        if turn > self.now {
            self.now = turn;
            self.ahead.retain(|_, ahead| *ahead > turn);
        }
        let next = self.now + 1;
        self.ahead.insert(person.clone(), next);
        next
    }
}
