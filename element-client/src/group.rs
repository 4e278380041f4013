//! Writes that are shared: who comes while a write is under way waits for the
//! next one together with all others who came, and one of them makes it for
//! all. A hundred Hosts that join at once cost a few syncs of the disk, not a
//! hundred.
//!
//! It blocks; the number of those who wait is that of the blocking threads.

use std::sync::Arc;

use parking_lot::Mutex;

/// A change, and what became of it.
struct Place<C, R> {
    change: C,
    outcome: Mutex<Option<R>>,
}

/// Changes that wait to be made together.
pub(crate) struct Group<C, R> {
    waiting: Mutex<Vec<Arc<Place<C, R>>>>,
    turn: Mutex<()>,
}

impl<C, R> Default for Group<C, R> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            turn: Mutex::new(()),
        }
    }
}

impl<C, R> Group<C, R> {
    /// Has the change made, by the present thread or another one; gives what
    /// became of it. `make` makes all that wait, in the order they came, and
    /// gives as many outcomes. `None`: who made it has panicked.
    pub(crate) fn join(&self, change: C, make: impl FnOnce(&[&C]) -> Vec<R>) -> Option<R> {
        let place = Arc::new(Place {
            change,
            outcome: Mutex::new(None),
        });
        self.waiting.lock().push(Arc::clone(&place));
        let _turn = self.turn.lock();
        if let Some(outcome) = place.outcome.lock().take() {
            return Some(outcome);
        }
        let group = std::mem::take(&mut *self.waiting.lock());
        let changes: Vec<&C> = group.iter().map(|place| &place.change).collect();
        for (place, outcome) in group.iter().zip(make(&changes)) {
            *place.outcome.lock() = Some(outcome);
        }
        place.outcome.lock().take()
    }
}

#[cfg(test)]
impl<C, R> Group<C, R> {
    /// How many wait for the next write.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[test]
    fn who_waits_shares_one_write() {
        let (group, writes) = (Group::<u32, u32>::default(), AtomicU32::new(0));
        let begun = Barrier::new(2);
        let make = |changes: &[&u32]| {
            writes.fetch_add(1, Ordering::Relaxed);
            changes.iter().map(|change| **change * 2).collect()
        };
        std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                group.join(1, |changes| {
                    begun.wait();
                    // Until the others wait, this write is under way.
                    while group.waiting() < 20 {
                        std::thread::yield_now();
                    }
                    make(changes)
                })
            });
            begun.wait();
            let others: Vec<_> = (2..22)
                .map(|number| {
                    (
                        number,
                        scope.spawn({
                            let (group, make) = (&group, &make);
                            move || group.join(number, make)
                        }),
                    )
                })
                .collect();
            assert_eq!(first.join().unwrap(), Some(2));
            for (number, other) in others {
                assert_eq!(other.join().unwrap(), Some(number * 2));
            }
        });
        assert_eq!(writes.load(Ordering::Relaxed), 2);
    }
}
