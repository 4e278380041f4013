//! Records of what an Element itself has seen end, on their way to the journal and the
//! controller.
//!
//! They are written a second's worth at a time: a crash loses those of the last second,
//! and those of what was under way.

use std::{collections::VecDeque, time::Duration};

use gridmart_schemas::{
    id::{Incarnation, NodeId},
    wire::record::CallRecords,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::RecordDesk;

/// Records that wait to be kept; beyond it the oldest are lost, and counted.
const WAITING_MAX: usize = 20_000;
/// Records that are kept for a controller that is away.
const KEPT_MAX: usize = 100_000;
/// Records of one batch, which is one write and one sync.
const BATCH_MAX: usize = 1000;
/// How long records wait for others.
const BATCH_PAUSE: Duration = Duration::from_millis(500);
/// Pause after the disk has refused, or while no more can be kept.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);

/// What waits to be kept.
#[derive(Debug)]
pub(crate) struct Outbox<R> {
    /// What they are of, for people.
    what: &'static str,
    waiting: Mutex<Waiting<R>>,
    come: Notify,
}

#[derive(Debug)]
struct Waiting<R> {
    records: VecDeque<R>,
    lost: u64,
}

/// Where records go.
pub(crate) struct Way<'a> {
    pub(crate) desk: &'a RecordDesk,
    /// The Element, and of which start.
    pub(crate) from: (NodeId, Incarnation),
    /// The Element ends.
    pub(crate) stop: &'a CancellationToken,
}

impl<R> Outbox<R> {
    pub(crate) fn new(what: &'static str) -> Self {
        let waiting = Waiting {
            records: VecDeque::new(),
            lost: 0,
        };
        Self {
            what,
            waiting: Mutex::new(waiting),
            come: Notify::new(),
        }
    }

    /// Takes records.
    pub(crate) fn put(&self, records: impl IntoIterator<Item = R>) {
        let mut waiting = self.waiting.lock();
        waiting.records.extend(records);
        while waiting.records.len() > WAITING_MAX {
            waiting.records.pop_front();
            waiting.lost += 1;
        }
        if !waiting.records.is_empty() {
            self.come.notify_one();
        }
    }

    /// The oldest of them, a batch at most.
    pub(crate) fn take(&self) -> Vec<R> {
        let mut waiting = self.waiting.lock();
        let lost = std::mem::take(&mut waiting.lost);
        if lost > 0 {
            let what = self.what;
            tracing::error!(
                what,
                lost,
                "records are lost: they could not be kept in time"
            );
        }
        let count = waiting.records.len().min(BATCH_MAX);
        waiting.records.drain(..count).collect()
    }

    /// What could not be kept waits again, before all else.
    fn put_back(&self, records: Vec<R>) {
        let mut waiting = self.waiting.lock();
        for record in records.into_iter().rev() {
            waiting.records.push_front(record);
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.lock().records.is_empty()
    }

    async fn come(&self) {
        while self.is_empty() {
            self.come.notified().await;
        }
    }
}

impl<R: Clone> Outbox<R> {
    /// Keeps records until the Element ends, and then what is left once all has
    /// `settled`. `batch` makes a batch of them.
    pub(crate) async fn keep(
        &self,
        way: Way<'_>,
        batch: impl Fn(Vec<R>) -> CallRecords,
        settled: impl Future<Output = ()>,
    ) {
        let mut settled = Some(settled);
        let mut sequence = 0;
        loop {
            let some = async {
                self.come().await;
                tokio::time::sleep(BATCH_PAUSE).await;
            };
            let is_going_on = way.stop.run_until_cancelled(some).await.is_some();
            if !is_going_on && let Some(settled) = settled.take() {
                settled.await;
            }
            while !self.is_empty() {
                let records = self.take();
                sequence += 1;
                let batch = CallRecords {
                    sequence,
                    ..batch(records.clone())
                };
                if !self.keep_batch(&way, batch).await {
                    self.put_back(records);
                    break;
                }
            }
            if !is_going_on {
                return;
            }
            if !self.is_empty() {
                let pause = tokio::time::sleep(REFUSED_PAUSE);
                way.stop.run_until_cancelled(pause).await;
            }
        }
    }

    async fn keep_batch(&self, way: &Way<'_>, batch: CallRecords) -> bool {
        let what = self.what;
        if way.desk.rows() >= KEPT_MAX {
            tracing::warn!(
                what,
                "no more records can be kept while the controller is away"
            );
            return false;
        }
        let (element, incarnation) = way.from;
        match way.desk.keep_now(element, incarnation, batch).await {
            Ok(()) => true,
            Err(problem) => {
                tracing::warn!(what, %problem, "records wait");
                false
            }
        }
    }
}
