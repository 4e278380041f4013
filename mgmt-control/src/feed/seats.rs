//! Who reads the feed: so many streams of each person, and in all; and which
//! topics anybody reads, so that nobody works for nothing.

use std::{collections::HashMap, sync::Arc};

use gridmart_schemas::{
    api::live::Topic,
    id::PersonName,
    problem::{Code, Problem},
};
use parking_lot::Mutex;

/// Streams of one person at a time: tabs and screens.
const PER_PERSON_MAX: usize = 16;
/// Streams in all.
const ALL_MAX: usize = 512;

/// All readers.
#[derive(Default)]
pub(crate) struct Seats {
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    people: HashMap<PersonName, usize>,
    topics: HashMap<Topic, usize>,
}

/// One reader's place, until it is dropped.
pub(crate) struct Seat {
    seats: Arc<Seats>,
    person: PersonName,
    topics: Vec<Topic>,
}

impl Seats {
    /// Takes a place.
    pub(crate) fn take(
        self: &Arc<Self>,
        person: &PersonName,
        topics: &[Topic],
    ) -> Result<Seat, Problem> {
        let mut taken = self.taken.lock();
        if taken.all >= ALL_MAX {
            let detail = format!("{ALL_MAX} live streams are open already.");
            return Err(Problem::new(Code::Busy, detail));
        }
        let own = taken.people.entry(person.clone()).or_default();
        if *own >= PER_PERSON_MAX {
            let detail = format!("{person} has {PER_PERSON_MAX} live streams open already.");
            return Err(Problem::new(Code::QuotaExceeded, detail));
        }
        *own += 1;
        taken.all += 1;
        for topic in topics {
            *taken.topics.entry(*topic).or_default() += 1;
        }
        Ok(Seat {
            seats: Arc::clone(self),
            person: person.clone(),
            topics: topics.to_vec(),
        })
    }

    /// Whether anybody reads.
    pub(crate) fn is_anybody(&self) -> bool {
        self.taken.lock().all > 0
    }

    /// Whether anybody reads of this.
    pub(crate) fn reads(&self, topic: Topic) -> bool {
        let taken = self.taken.lock();
        taken.topics.get(&topic).is_some_and(|readers| *readers > 0)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock();
        taken.all = taken.all.saturating_sub(1);
        if let Some(own) = taken.people.get_mut(&self.person) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.people.remove(&self.person);
            }
        }
        for topic in &self.topics {
            if let Some(readers) = taken.topics.get_mut(topic) {
                *readers = readers.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_cannot_take_all_places() {
        let seats = Arc::new(Seats::default());
        let [uma, udo]: [PersonName; 2] = ["uma", "udo"].map(|name| name.parse().unwrap());
        let held: Vec<_> = (0..PER_PERSON_MAX)
            .map(|_| seats.take(&uma, &[Topic::Calls]).unwrap())
            .collect();
        let refused = seats.take(&uma, &[]).map(drop).unwrap_err();
        assert_eq!(refused.code, Code::QuotaExceeded);
        let other = seats.take(&udo, &[Topic::Events]).unwrap();
        assert!(seats.reads(Topic::Calls) && seats.reads(Topic::Events));
        drop(held);
        assert!(!seats.reads(Topic::Calls));
        seats.take(&uma, &[]).map(drop).unwrap();
        drop(other);
        assert!(!seats.is_anybody());
        assert!(seats.taken.lock().people.is_empty(), "nobody is remembered");
    }
}
