//! What the Element's owner allows of statements: how many at a time, and how much each
//! may take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gridmart_schemas::{
    problem::{Code, Problem},
    resource::de::DePolicy,
    scalar::Seconds,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio_util::sync::CancellationToken;

/// What one statement may take; of each, absent: what its Host allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatementLimits {
    time: Option<Duration>,
    pub(super) rows: Option<u64>,
    pub(super) bytes: Option<u64>,
}

impl StatementLimits {
    pub(super) fn of(policy: &DePolicy) -> Self {
        Self {
            time: policy.max_request_time.map(Seconds::to_duration),
            rows: policy.max_result_rows,
            bytes: policy.max_result_size,
        }
    }

    /// Milliseconds, of somebody who allows so much themselves.
    pub(super) fn time(&self, asked: Option<Duration>) -> Option<u32> {
        let least = self.time.into_iter().chain(asked).min()?;
        Some(u32::try_from(least.as_millis()).unwrap_or(u32::MAX))
    }
}

/// Places for statements that run.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Absent: there is no limit.
    running: Option<Arc<Semaphore>>,
    most: u32,
    waiting: Arc<AtomicUsize>,
    waiting_max: Option<u32>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: Option<OwnedSemaphorePermit>,
}

/// Counts as waiting, until it is dropped.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Slots {
    pub(super) fn of(policy: &DePolicy) -> Self {
        let running = policy.max_running_requests;
        Self {
            running: running.map(|most| Arc::new(Semaphore::new(most as usize))),
            most: running.unwrap_or_default(),
            waiting: Arc::default(),
            waiting_max: policy.max_waiting_requests,
        }
    }

    /// Statements that wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Takes a place, first come first served; waits if all are taken and not too many
    /// wait, until it is given up.
    pub(super) async fn take(&self, give_up: Option<&CancellationToken>) -> Result<Slot, Problem> {
        let Some(running) = &self.running else {
            return Ok(Slot { _permit: None });
        };
        match Arc::clone(running).try_acquire_owned() {
            Ok(permit) => {
                return Ok(Slot {
                    _permit: Some(permit),
                });
            }
            Err(TryAcquireError::Closed) => return Err(full(self.most)),
            Err(TryAcquireError::NoPermits) => {}
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(Arc::clone(&self.waiting));
        if self.waiting_max.is_some_and(|most| before >= most as usize) {
            return Err(full(self.most));
        }
        let free = Arc::clone(running).acquire_owned();
        let permit = match give_up {
            Some(give_up) => give_up.run_until_cancelled(free).await.ok_or_else(|| {
                Problem::new(
                    Code::Terminated,
                    "The statement was given up while it waited.",
                )
            })?,
            None => free.await,
        };
        Ok(Slot {
            _permit: Some(permit.map_err(|_| full(self.most))?),
        })
    }
}

fn full(most: u32) -> Problem {
    let detail = format!(
        "{most} statements run (MaxRunningRequests), and as many wait as may \
         (MaxWaitingRequests): try again when some have ended."
    );
    Problem::new(Code::Busy, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn so_many_run_so_many_wait_and_others_are_refused() {
        let slots = Slots::of(&DePolicy {
            max_running_requests: Some(1),
            max_waiting_requests: Some(1),
            ..DePolicy::default()
        });
        let first = slots.take(None).await.unwrap();
        let mut second = std::pin::pin!(slots.take(None));
        assert!(futures_util::poll!(&mut second).is_pending());
        assert_eq!(slots.waiting(), 1);
        assert_eq!(slots.take(None).await.unwrap_err().code, Code::Busy);
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(slots.waiting(), 0);
        let given_up = CancellationToken::new();
        given_up.cancel();
        let gone = slots.take(Some(&given_up)).await;
        assert!(gone.is_err());
        assert_eq!(slots.waiting(), 0);
        drop(second);
        slots.take(None).await.unwrap();
        let open = Slots::default();
        let all = [open.take(None).await, open.take(None).await];
        assert!(all.iter().all(Result::is_ok));
    }

    #[test]
    fn the_lesser_time_counts() {
        let limits = |time| StatementLimits {
            time,
            rows: None,
            bytes: None,
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(limits(None).time(None), None);
        assert_eq!(limits(second).time(None), Some(1000));
        assert_eq!(
            limits(second).time(Some(Duration::from_mins(1))),
            Some(1000)
        );
        assert_eq!(limits(None).time(second), Some(1000));
    }
}
