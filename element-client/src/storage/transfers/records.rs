//! Records of transfers that have ended, on their way to the journal and the
//! controller.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use gridmart_schemas::wire::{record::CallRecords, transfer::TransferRecord};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::storage::Se;

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
/// When the Element ends, what is under way has so long to end.
const END_PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether it has.
const END_STEP: Duration = Duration::from_millis(50);

/// What waits to be kept.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Waiting>,
    come: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    records: VecDeque<TransferRecord>,
    lost: u64,
}

impl Outbox {
    /// Takes records.
    pub(super) fn put(&self, records: impl IntoIterator<Item = TransferRecord>) {
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

    fn take(&self) -> Vec<TransferRecord> {
        let mut waiting = self.waiting.lock();
        if std::mem::take(&mut waiting.lost) > 0 {
            tracing::error!("records of transfers are lost: they could not be kept in time");
        }
        let count = waiting.records.len().min(BATCH_MAX);
        waiting.records.drain(..count).collect()
    }

    /// What could not be kept waits again, before all else.
    fn put_back(&self, records: Vec<TransferRecord>) {
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

/// Keeps records until the Element ends, and then what is left.
pub(in crate::storage) async fn keep_records(se: Arc<Se>) {
    let outbox = &se.goods.transfers.outbox;
    let mut sequence = 0;
    loop {
        let some = async {
            outbox.come().await;
            tokio::time::sleep(BATCH_PAUSE).await;
        };
        let is_going_on = se.stop.run_until_cancelled(some).await.is_some();
        if !is_going_on {
            settle(&se).await;
        }
        while !outbox.is_empty() {
            let records = outbox.take();
            let is_kept = keep(&se, &mut sequence, &records).await;
            if !is_kept {
                outbox.put_back(records);
                break;
            }
        }
        if !is_going_on {
            return;
        }
        if !outbox.is_empty() {
            let pause = tokio::time::sleep(REFUSED_PAUSE);
            se.stop.run_until_cancelled(pause).await;
        }
    }
}

async fn keep(se: &Se, sequence: &mut u64, records: &[TransferRecord]) -> bool {
    let desk = &se.goods.records;
    if desk.rows() >= KEPT_MAX {
        tracing::warn!("no more records of transfers can be kept while the controller is away");
        return false;
    }
    *sequence += 1;
    let batch = CallRecords {
        sequence: *sequence,
        transfers: records.to_vec(),
        ..CallRecords::default()
    };
    match desk.keep_now(se.id, se.incarnation, batch).await {
        Ok(()) => true,
        Err(problem) => {
            tracing::warn!(%problem, "records of transfers wait");
            false
        }
    }
}

/// Lets what is under way end, for a while.
async fn settle(se: &Se) {
    let transfers = &se.goods.transfers;
    let idle = async {
        while !transfers.is_idle() {
            tokio::time::sleep(END_STEP).await;
        }
    };
    // What takes longer has ended with the Element.
    let _ = tokio::time::timeout(END_PATIENCE, idle).await;
    transfers.end_all();
}
