//! What writes to a copy pass: closed while another copy becomes the core, so that
//! whoever closes it knows the last write.

use std::time::{Duration, Instant};

use gridmart_schemas::problem::{Code, Problem};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Writes under way may take so long to end while the gate is closed.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Default)]
pub(super) struct Gate {
    state: Mutex<State>,
    left: Notify,
}

#[derive(Default)]
struct State {
    /// Writes that have passed and not ended.
    writing: usize,
    closed_until: Option<Instant>,
}

/// A write that has passed, until it is dropped.
pub(super) struct Writing<'a>(&'a Gate);

impl Gate {
    /// Lets a write pass, unless the gate is closed: then it was not begun.
    pub(super) fn enter(&self) -> Result<Writing<'_>, Problem> {
        let mut state = self.state.lock();
        if state
            .closed_until
            .is_some_and(|until| Instant::now() < until)
        {
            return Err(Problem::new(
                Code::Busy,
                "Another copy of the database is becoming the core.",
            ));
        }
        state.closed_until = None;
        state.writing += 1;
        Ok(Writing(self))
    }

    /// Closes for so long, and waits until nothing is being written. If that takes too
    /// long, it opens again.
    pub(super) async fn close(&self, time: Duration) -> Result<(), Problem> {
        self.state.lock().closed_until = Some(Instant::now() + time);
        let ended = async {
            loop {
                let left = self.left.notified();
                tokio::pin!(left);
                left.as_mut().enable();
                if self.state.lock().writing == 0 {
                    return;
                }
                left.await;
            }
        };
        if tokio::time::timeout(DRAIN_MAX.min(time), ended)
            .await
            .is_ok()
        {
            return Ok(());
        }
        self.open();
        Err(Problem::new(
            Code::Busy,
            "A statement that writes has not ended in time: try again when it has.",
        ))
    }

    /// Lets writes pass again.
    pub(super) fn open(&self) {
        self.state.lock().closed_until = None;
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.state.lock().writing -= 1;
        self.0.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_written_once_it_is_closed_and_it_opens_by_itself() {
        let gate = Gate::default();
        let long = Duration::from_mins(1);
        let under_way = gate.enter().unwrap();
        let short = Duration::from_millis(5);
        assert!(gate.close(short).await.is_err(), "a write does not end");
        drop(gate.enter().unwrap());
        let (closed, ()) = tokio::join!(gate.close(long), async {
            assert!(gate.enter().is_err());
            drop(under_way);
        });
        closed.unwrap();
        assert_eq!(gate.enter().err().unwrap().code, Code::Busy);
        gate.open();
        drop(gate.enter().unwrap());
        gate.close(Duration::ZERO).await.unwrap();
        assert!(gate.enter().is_ok());
    }
}
