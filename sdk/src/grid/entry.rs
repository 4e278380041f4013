//! What happens to one place in the queue, on its way to who waits.
//!
//! A lease that were left out would be lost for good: its Element has counted
//! it as granted, and who waits would wait on for it. So there is room for all
//! slots that were asked for, whatever else is told; places in the queue have
//! what is left, and the newest ones may be missed.

use gridmart_schemas::problem::Problem;
use tokio::sync::mpsc;

use super::session::LeaseHold;

/// Places that may wait to be read.
const POSITIONS_MAX: usize = 64;

/// What happens to a place in the queue.
pub(crate) enum EntryEvent {
    Granted(LeaseHold),
    Position(u32),
    Refused(Problem),
    /// The stream is lost, and the place with it.
    Lost,
}

/// Where events of one entry go.
#[derive(Clone)]
pub(super) struct EntryTeller {
    events: mpsc::Sender<EntryEvent>,
    /// Leases, and the one end.
    reserved: usize,
}

/// The way of the events of an entry for so many slots.
pub(super) fn entry_events(slots: u32) -> (EntryTeller, mpsc::Receiver<EntryEvent>) {
    let reserved = usize::try_from(slots).unwrap_or(usize::MAX / 16) + 1;
    let (events, read) = mpsc::channel(reserved + POSITIONS_MAX);
    (EntryTeller { events, reserved }, read)
}

impl EntryTeller {
    /// Tells an event, without waiting. A grant that nobody reads any more is
    /// released by its hold.
    pub(super) fn tell(&self, event: EntryEvent) {
        let is_position = matches!(event, EntryEvent::Position(_));
        if !is_position || self.events.capacity() > self.reserved {
            let _ = self.events.try_send(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::problem::Code;

    use super::*;

    #[test]
    fn no_place_takes_the_room_of_a_lease() {
        let (teller, mut read) = entry_events(2);
        for place in (1..1000).rev() {
            teller.tell(EntryEvent::Position(place));
        }
        // Anything but a place stands for a lease here.
        for _ in 0..2 {
            teller.tell(EntryEvent::Refused(Problem::new(Code::Busy, "")));
        }
        teller.tell(EntryEvent::Lost);
        let (mut places, mut others) = (0, 0);
        while let Ok(event) = read.try_recv() {
            match event {
                EntryEvent::Position(_) => places += 1,
                _ => others += 1,
            }
        }
        assert_eq!((places, others), (POSITIONS_MAX, 3));
    }
}
