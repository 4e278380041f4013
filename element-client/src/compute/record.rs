//! Call records: taken from Hosts, kept, sent on to the controller.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use gridmart_fabric::disk::RealDisk;
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::{Code, Problem},
    wire::{Done, record::CallRecords},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{Ce, journal::record::RecordJournal};

/// Batches of Hosts that wait to be kept; one sync serves all of them.
const QUEUE_MAX: usize = 256;
/// How long the controller may take to acknowledge.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after the controller has refused.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

type Arrival = (
    NodeId,
    Incarnation,
    CallRecords,
    oneshot::Sender<Result<(), Problem>>,
);

/// Where records come in.
pub(crate) struct RecordDesk {
    journal: Arc<Mutex<RecordJournal>>,
    arrivals: mpsc::Sender<Arrival>,
    waiting: Mutex<Option<mpsc::Receiver<Arrival>>>,
    kept: Notify,
}

impl RecordDesk {
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let journal = RecordJournal::open(Arc::new(RealDisk), path)?;
        let (arrivals, waiting) = mpsc::channel(QUEUE_MAX);
        Ok(Self {
            journal: Arc::new(Mutex::new(journal)),
            arrivals,
            waiting: Mutex::new(Some(waiting)),
            kept: Notify::new(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.journal.lock().len()
    }

    /// Keeps a Host's batch; durable when this returns.
    pub(crate) async fn take(
        &self,
        host: NodeId,
        incarnation: Incarnation,
        batch: CallRecords,
    ) -> Result<(), Problem> {
        let ending = || Problem::new(Code::Unavailable, "The Element is going down.");
        let (answer, kept) = oneshot::channel();
        self.arrivals
            .send((host, incarnation, batch, answer))
            .await
            .map_err(|_| ending())?;
        kept.await.map_err(|_| ending())?
    }
}

impl Ce {
    /// A Host sends what has ended on it.
    pub(crate) async fn on_records(
        &self,
        host: NodeId,
        mut batch: CallRecords,
    ) -> Result<Done, Problem> {
        self.goods.late.lock().judge(&mut batch, Instant::now());
        let incarnation = self.links.host_incarnation(host).ok_or_else(|| {
            Problem::new(
                Code::Unavailable,
                "The Host's stream was replaced by another.",
            )
        })?;
        self.goods.records.take(host, incarnation, batch).await?;
        Ok(Done {})
    }

    /// Keeps what Hosts send, one sync for as many batches as have come.
    pub(crate) async fn keep_records(self: Arc<Self>) {
        let Some(mut waiting) = self.goods.records.waiting.lock().take() else {
            return;
        };
        let mut arrived = Vec::new();
        loop {
            let next = self
                .stop
                .run_until_cancelled(waiting.recv_many(&mut arrived, QUEUE_MAX))
                .await;
            if next.is_none_or(|count| count == 0) {
                return;
            }
            let (batches, answers): (Vec<_>, Vec<_>) = arrived
                .drain(..)
                .map(|(host, incarnation, batch, answer)| ((host, incarnation, batch), answer))
                .unzip();
            for (_, _, batch) in &batches {
                self.learn(batch);
            }
            let journal = Arc::clone(&self.goods.records.journal);
            let Ok(kept) = tokio::task::spawn_blocking(move || journal.lock().keep(batches)).await
            else {
                continue;
            };
            for (answer, kept) in answers.into_iter().zip(kept) {
                // The Host's stream may have ended; it sends the batch again.
                let _ = answer.send(kept);
            }
            self.goods.records.kept.notify_one();
        }
    }

    fn learn(&self, batch: &CallRecords) {
        self.goods.service_times.lock().on_records(batch);
        self.goods.ended_calls.lock().on_records(batch);
        self.goods
            .metrics
            .calls_ended
            .inc_by(batch.records.len() as u64);
    }

    /// Sends on what is kept, until it is acknowledged, whenever the
    /// controller is there.
    pub(crate) async fn send_records(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            let sent = self.stop.run_until_cancelled(self.send_one_batch()).await;
            match sent {
                None => return,
                Some(Ok(())) => {}
                Some(Err(problem)) => {
                    tracing::debug!(%problem, "call records wait for the controller");
                    let pause = async {
                        tokio::select! {
                            () = self.links.changed() => {}
                            () = tokio::time::sleep(REFUSED_PAUSE) => {}
                        }
                    };
                    self.stop.run_until_cancelled(pause).await;
                }
            }
        }
    }

    async fn send_one_batch(&self) -> Result<(), Problem> {
        let batch = loop {
            let next = self.goods.records.journal.lock().due();
            match next {
                Some(batch) => break batch,
                None => self.goods.records.kept.notified().await,
            }
        };
        self.links
            .require_controller()?
            .ask(&batch, SEND_TIMEOUT)
            .await?;
        let journal = Arc::clone(&self.goods.records.journal);
        let forgotten = tokio::task::spawn_blocking(move || journal.lock().acknowledged()).await;
        if let Ok(Err(error)) = forgotten {
            tracing::error!(%error, "the journal of call records cannot be written; acknowledged ones may be sent again");
        }
        Ok(())
    }
}
