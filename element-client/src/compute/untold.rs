//! What a client has still to be told, in the order in which it was decided.
//!
//! A decision may concern thousands of leases of one client, more than its
//! stream takes at once. They are kept here as decisions, and become messages,
//! each with a ticket of its own, when the stream has room. Invariants: nothing
//! is left out nor told before what was decided earlier; whoever decides never
//! waits; a client that does not read keeps a bounded number of decisions, for
//! a bounded time.

use std::{collections::VecDeque, time::Duration};

use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    problem::{Code, Problem},
    wire::queue::{LeaseGranted, LeaseOver, LeaseRecalled, QueueRefused},
};

use parking_lot::Mutex;
use tokio::time::timeout;

use super::{lease::LeaseState, queue::entry::EntryKey};

/// So much a client may have before it: eight leases on each Host of the
/// largest pool.
const UNTOLD_MAX: usize = 16_384;
/// A client whose stream has room for nothing more for so long does not read.
pub(super) const UNREAD_MAX: Duration = Duration::from_secs(10);

/// A decision that a client hears of.
pub(super) enum News {
    /// A lease, as it was granted: it may have ended since, which is told next.
    Granted(EntryKey, Box<LeaseState>),
    /// A lease is asked back.
    Recalled(LeaseRecalled),
    /// A lease is over.
    Over(LeaseOver),
    /// An entry is refused.
    Refused(QueueRefused),
}

/// News, as they are sent.
pub(super) enum Message {
    Granted(Box<LeaseGranted>),
    Recalled(LeaseRecalled),
    Over(LeaseOver),
    Refused(QueueRefused),
}

impl Message {
    /// Sends it if there is room.
    pub(super) fn try_tell(&self, peer: &Peer) -> Result<(), Problem> {
        match self {
            Self::Granted(granted) => peer.try_tell(&**granted),
            Self::Recalled(recalled) => peer.try_tell(recalled),
            Self::Over(over) => peer.try_tell(over),
            Self::Refused(refused) => peer.try_tell(refused),
        }
    }

    /// Sends it as soon as there is room.
    pub(super) async fn tell(&self, peer: &Peer) -> Result<(), Problem> {
        match self {
            Self::Granted(granted) => peer.tell(&**granted).await,
            Self::Recalled(recalled) => peer.tell(recalled).await,
            Self::Over(over) => peer.tell(over).await,
            Self::Refused(refused) => peer.tell(refused).await,
        }
    }
}

/// What becomes of a decision.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// Who tells takes it in its turn.
    Behind,
    /// It is the first: somebody has to begin to tell.
    First,
    /// The client is too far behind.
    TooMany,
}

/// Decisions that wait to be told to one client.
#[derive(Debug)]
pub(super) struct Untold<T> {
    waiting: VecDeque<T>,
    /// Somebody takes them one after the other, and may have one in hand.
    telling: bool,
}

impl<T> Default for Untold<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            telling: false,
        }
    }
}

impl<T> Untold<T> {
    /// Whether nothing waits: what is decided now may be told now.
    pub(super) const fn is_empty(&self) -> bool {
        !self.telling
    }

    /// Keeps a decision until its turn.
    pub(super) fn keep(&mut self, news: T) -> Kept {
        if self.waiting.len() >= UNTOLD_MAX {
            return Kept::TooMany;
        }
        self.waiting.push_back(news);
        if std::mem::replace(&mut self.telling, true) {
            Kept::Behind
        } else {
            Kept::First
        }
    }

    /// Takes what is told next; `None`: all is told, and who tells is done.
    pub(super) fn next(&mut self) -> Option<T> {
        let next = self.waiting.pop_front();
        self.telling = next.is_some();
        next
    }
}

/// Tells what waits, one after the other, until nothing does. Each may wait for
/// room for as long as `patience`.
pub(super) async fn tell_in_turn<T, F>(
    untold: &Mutex<Untold<T>>,
    patience: Duration,
    tell: impl Fn(T) -> F,
) -> Result<(), Problem>
where
    F: Future<Output = Result<(), Problem>>,
{
    loop {
        let Some(news) = untold.lock().next() else {
            return Ok(());
        };
        let late = |_| {
            let detail = format!("Nothing was read for {patience:?}.");
            Problem::new(Code::TimedOut, detail)
        };
        timeout(patience, tell(news)).await.map_err(late)??;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_told_in_its_order_by_one() {
        let mut untold = Untold::default();
        assert!(untold.is_empty());
        assert_eq!(untold.keep(1), Kept::First);
        assert_eq!(untold.keep(2), Kept::Behind);
        assert_eq!(untold.next(), Some(1));
        assert_eq!(untold.next(), Some(2));
        // The last one is in hand still: nothing overtakes it.
        assert!(!untold.is_empty());
        assert_eq!(untold.keep(3), Kept::Behind);
        assert_eq!((untold.next(), untold.next()), (Some(3), None));
        assert!(untold.is_empty());
        assert_eq!(untold.keep(4), Kept::First);
    }

    #[test]
    fn who_does_not_read_keeps_no_more_than_so_much() {
        let mut untold = Untold::default();
        for number in 0..UNTOLD_MAX {
            assert_ne!(untold.keep(number), Kept::TooMany);
        }
        assert_eq!(untold.keep(0), Kept::TooMany);
        assert_eq!(untold.next(), Some(0));
        assert_eq!(untold.keep(0), Kept::Behind);
    }

    #[tokio::test]
    async fn who_reads_is_told_all_and_who_does_not_is_waited_for_no_longer_than_so() {
        let untold = Mutex::new(Untold::default());
        let told = Mutex::new(Vec::new());
        untold.lock().keep(1);
        untold.lock().keep(2);
        let reads = |news: u32| {
            told.lock().push(news);
            // It is decided on while this is told.
            if news == 1 {
                untold.lock().keep(3);
            }
            std::future::ready(Ok(()))
        };
        let all = tell_in_turn(&untold, UNREAD_MAX, reads).await;
        assert!(all.is_ok());
        assert_eq!(*told.lock(), [1, 2, 3]);

        untold.lock().keep(4);
        let waiting = tell_in_turn(&untold, Duration::from_millis(1), |_| {
            std::future::pending()
        });
        assert_eq!(waiting.await.unwrap_err().code, Code::TimedOut);
    }
}
