//! What was told lately, in order: readers read on from where they were, or
//! learn that they have missed something. The only buffer there is.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use gridmart_schemas::{api::live::Topic, role::Role};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Messages that are kept.
const MESSAGES_MAX: usize = 2048;
/// Bytes that they have together; a single one may be larger.
const BYTES_MAX: usize = 8 << 20;
/// Messages that a reader takes at a time.
const TAKEN_MAX: usize = 64;

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Everybody.
    All,
    /// Operators and admins.
    Operators,
    /// All but these.
    Others,
    /// Nobody: it holds a place.
    Nobody,
}

impl Audience {
    /// Whether somebody of this role is told.
    pub(crate) fn has(self, role: Role) -> bool {
        match self {
            Self::All => true,
            Self::Operators => role <= Role::Operator,
            Self::Others => role > Role::Operator,
            Self::Nobody => false,
        }
    }
}

/// Something that was told.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) sequence: u64,
    pub(crate) topic: Topic,
    pub(crate) audience: Audience,
    /// JSON, in one line.
    pub(crate) text: Arc<str>,
}

/// What a reader finds.
#[derive(Debug)]
pub(crate) enum Found {
    /// These, in order; none: nothing new.
    Messages(Vec<Message>),
    /// What comes next for it is not kept any more.
    Missed,
}

/// The ring.
pub(crate) struct Ring {
    /// Names this start of the controller.
    pub(crate) epoch: String,
    kept: Mutex<Kept>,
    newest: watch::Sender<u64>,
}

#[derive(Default)]
struct Kept {
    messages: VecDeque<Message>,
    bytes: usize,
    newest: u64,
    /// By topic: something was not told after this, since nobody was reading.
    skipped: BTreeMap<Topic, u64>,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            epoch: format!("{:08x}", rand::random::<u32>()),
            kept: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }
}

impl Kept {
    fn trim(&mut self) {
        while self.messages.len() > MESSAGES_MAX
            || (self.bytes > BYTES_MAX && self.messages.len() > 1)
        {
            let oldest = self.messages.pop_front();
            self.bytes -= oldest.map_or(0, |oldest| oldest.text.len());
        }
    }
}

impl Ring {
    pub(crate) fn push(&self, topic: Topic, audience: Audience, text: String) {
        let mut kept = self.kept.lock();
        kept.newest += 1;
        kept.bytes += text.len();
        let message = Message {
            sequence: kept.newest,
            topic,
            audience,
            text: text.into(),
        };
        kept.messages.push_back(message);
        kept.trim();
        let newest = kept.newest;
        drop(kept);
        self.newest.send_replace(newest);
    }

    /// Notes that something was not told, because nobody read of it: whoever
    /// reads on from before has missed it.
    pub(crate) fn skip(&self, topic: Topic) {
        let mut kept = self.kept.lock();
        kept.newest += 1;
        let sequence = kept.newest;
        kept.skipped.insert(topic, sequence);
        kept.messages.push_back(Message {
            sequence,
            topic,
            audience: Audience::Nobody,
            text: "".into(),
        });
        kept.trim();
    }

    /// Whether of these topics something after `last` was not told.
    pub(crate) fn has_skipped(&self, topics: &[Topic], last: u64) -> bool {
        let kept = self.kept.lock();
        let after = |topic| kept.skipped.get(topic).is_some_and(|at| *at > last);
        topics.iter().any(after)
    }

    /// The number of what was told last.
    pub(crate) fn newest(&self) -> u64 {
        self.kept.lock().newest
    }

    /// Wakes when something is told.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Reads what comes after `last`, a part at a time.
    pub(crate) fn after(&self, last: u64) -> Found {
        let kept = self.kept.lock();
        let Some(first) = kept.messages.front().map(|first| first.sequence) else {
            return if last == kept.newest {
                Found::Messages(Vec::new())
            } else {
                Found::Missed
            };
        };
        if last > kept.newest || last + 1 < first {
            return Found::Missed;
        }
        let skip = usize::try_from(last + 1 - first).unwrap_or(usize::MAX);
        let rest = kept.messages.iter().skip(skip).take(TAKEN_MAX);
        Found::Messages(rest.cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(ring: &Ring, last: u64) -> Option<Vec<u64>> {
        match ring.after(last) {
            Found::Messages(found) => Some(found.iter().map(|one| one.sequence).collect()),
            Found::Missed => None,
        }
    }

    #[test]
    fn readers_read_on_or_learn_that_they_missed_something() {
        let ring = Ring::default();
        assert_eq!(read(&ring, 0), Some(vec![]));
        assert_eq!(read(&ring, 7), None, "of another start");
        for _ in 0..3 {
            ring.push(Topic::Events, Audience::All, "{}".to_owned());
        }
        assert_eq!(read(&ring, 0), Some(vec![1, 2, 3]));
        assert_eq!(read(&ring, 2), Some(vec![3]));
        assert_eq!(read(&ring, 3), Some(vec![]));
        assert_eq!(read(&ring, 4), None);
        for _ in 0..MESSAGES_MAX {
            ring.push(Topic::Events, Audience::All, "{}".to_owned());
        }
        assert_eq!(read(&ring, 2), None);
        assert_eq!(read(&ring, 3).unwrap().len(), TAKEN_MAX);
    }

    #[test]
    fn large_messages_push_others_out() {
        let ring = Ring::default();
        for _ in 0..100 {
            ring.push(Topic::Resources, Audience::All, "x".repeat(1 << 20));
        }
        let kept = ring.kept.lock();
        assert!(kept.bytes <= BYTES_MAX, "{}", kept.bytes);
        assert_eq!(kept.messages.len(), BYTES_MAX >> 20);
    }

    #[test]
    fn operators_are_told_more() {
        for role in Role::ALL.iter().copied() {
            assert!(Audience::All.has(role));
            assert_ne!(Audience::Operators.has(role), Audience::Others.has(role));
        }
        assert!(Audience::Operators.has(Role::Admin) && !Audience::Operators.has(Role::Developer));
    }
}
