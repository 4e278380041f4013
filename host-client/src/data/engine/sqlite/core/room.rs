//! How much a core may log until its log drops what a shadow that is away still misses:
//! such a shadow begins with a snapshot then. People are told before it comes to that.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use gridmart_schemas::data::Position;

use crate::data::log::{LogBounds, State};

/// See the module.
pub(super) struct LogRoom {
    bounds: LogBounds,
    bytes: Arc<AtomicU64>,
    said: Said,
}

/// What people were told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Said {
    Nothing,
    Narrow,
    Dropped,
}

impl LogRoom {
    pub(super) fn new(bounds: LogBounds, state: &State) -> Self {
        Self {
            bounds,
            bytes: Arc::new(AtomicU64::new(bounds.room(state))),
            said: Said::Nothing,
        }
    }

    pub(super) fn bytes(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.bytes)
    }

    /// Looks at what was committed; all shadows are known to have the log up to there.
    pub(super) fn look(&mut self, state: &State, confirmed: Position) {
        let room = self.bounds.room(state);
        self.bytes.store(room, Ordering::Relaxed);
        let is_kept_anyway = self.bounds.bytes_kept >= self.bounds.bytes_max / 5 * 4;
        let now = if state.trimmed.position > confirmed {
            Said::Dropped
        } else if room < self.bounds.bytes_max / 5 && !is_kept_anyway {
            Said::Narrow
        } else {
            Said::Nothing
        };
        if now <= self.said {
            // What is over may be said again.
            self.said = self.said.min(now);
            return;
        }
        self.said = now;
        match now {
            Said::Nothing => {}
            Said::Narrow => {
                tracing::warn!(database.id = %state.database, room, "the log is nearly full of what a shadow that is away misses: beyond --log-max it begins with a snapshot");
            }
            Said::Dropped => {
                tracing::info!(database.id = %state.database, through = %state.trimmed.position, "the log has dropped what not every shadow is known to have: one that misses it begins with a snapshot");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::data::{Epoch, LogPoint};
    use uuid::Uuid;

    use super::*;
    use crate::data::log::Role;

    #[test]
    fn it_is_said_before_the_log_drops_what_somebody_misses_and_again_when_it_comes_again() {
        let bounds = LogBounds {
            bytes_max: 1000,
            bytes_kept: 100,
        };
        let mut state = State::new(Uuid::nil(), Role::Core);
        let mut room = LogRoom::new(bounds, &state);
        let confirmed = Position::new(10);
        let mut look = |log_bytes, trimmed| {
            state.log_bytes = log_bytes;
            state.trimmed = LogPoint {
                position: Position::new(trimmed),
                epoch: Epoch::FIRST,
            };
            room.look(&state, confirmed);
            (room.said, room.bytes.load(Ordering::Relaxed))
        };
        assert_eq!(look(500, 5), (Said::Nothing, 500));
        assert_eq!(look(900, 5), (Said::Narrow, 100));
        assert_eq!(look(1000, 11), (Said::Dropped, 0));
        assert_eq!(look(100, 10), (Said::Nothing, 900));
        assert_eq!(look(900, 5), (Said::Narrow, 100));
    }
}
