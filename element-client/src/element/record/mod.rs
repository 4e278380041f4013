//! Records of calls, transfers and SQL sessions: taken from Hosts, or from the Element
//! itself (`outbox`), kept, and sent on to the controller.

pub mod journal;
pub(crate) mod lines;
pub(crate) mod outbox;

use std::{path::Path, sync::Arc, time::Duration};

use gridmart_fabric::disk::RealDisk;
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    problem::{Code, Problem},
    wire::record::CallRecords,
};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::journal::RecordJournal;
use super::link::Links;

/// Batches that wait to be kept; one sync serves all of them.
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

    /// How many batches wait for the controller.
    pub(crate) fn len(&self) -> usize {
        self.journal.lock().len()
    }

    /// How many rows wait for it.
    pub(crate) fn rows(&self) -> usize {
        self.journal.lock().rows()
    }

    /// Keeps a batch of a Host, or of the Element itself; durable when this
    /// returns.
    pub(crate) async fn take(
        &self,
        from: NodeId,
        incarnation: Incarnation,
        batch: CallRecords,
    ) -> Result<(), Problem> {
        let ending = || Problem::new(Code::Unavailable, "The Element is going down.");
        let (answer, kept) = oneshot::channel();
        self.arrivals
            .send((from, incarnation, batch, answer))
            .await
            .map_err(|_| ending())?;
        kept.await.map_err(|_| ending())?
    }

    /// Keeps a batch of the Element itself at once; durable when this returns.
    pub(crate) async fn keep_now(
        &self,
        from: NodeId,
        incarnation: Incarnation,
        batch: CallRecords,
    ) -> Result<(), Problem> {
        let journal = Arc::clone(&self.journal);
        let keep = move || journal.lock().keep(vec![(from, incarnation, batch)]);
        let kept = tokio::task::spawn_blocking(keep).await;
        self.kept.notify_one();
        let failed = || Problem::new(Code::Internal, "A task of the Element failed.");
        kept.ok()
            .and_then(|mut kept| kept.pop())
            .unwrap_or_else(|| Err(failed()))
    }

    /// Keeps what comes, one sync for as many batches as have come; each of them
    /// is shown to `learn` first.
    pub(crate) async fn keep(&self, stop: &CancellationToken, learn: impl Fn(&CallRecords)) {
        let Some(mut waiting) = self.waiting.lock().take() else {
            return;
        };
        let mut arrived = Vec::new();
        loop {
            let next = stop
                .run_until_cancelled(waiting.recv_many(&mut arrived, QUEUE_MAX))
                .await;
            if next.is_none_or(|count| count == 0) {
                return;
            }
            let (batches, answers): (Vec<_>, Vec<_>) = arrived
                .drain(..)
                .map(|(from, incarnation, batch, answer)| ((from, incarnation, batch), answer))
                .unzip();
            for (_, _, batch) in &batches {
                learn(batch);
            }
            let journal = Arc::clone(&self.journal);
            let Ok(kept) = tokio::task::spawn_blocking(move || journal.lock().keep(batches)).await
            else {
                continue;
            };
            for (answer, kept) in answers.into_iter().zip(kept) {
                // The Host's stream may have ended; it sends the batch again.
                let _ = answer.send(kept);
            }
            self.kept.notify_one();
        }
    }

    /// Sends on what is kept, until it is acknowledged, whenever the controller
    /// is there.
    pub(crate) async fn send(&self, stop: &CancellationToken, links: &Links) {
        while !stop.is_cancelled() {
            let sent = stop.run_until_cancelled(self.send_one_batch(links)).await;
            match sent {
                None => return,
                Some(Ok(())) => {}
                Some(Err(problem)) => {
                    tracing::debug!(%problem, "records wait for the controller");
                    let pause = async {
                        tokio::select! {
                            () = links.changed() => {}
                            () = tokio::time::sleep(REFUSED_PAUSE) => {}
                        }
                    };
                    stop.run_until_cancelled(pause).await;
                }
            }
        }
    }

    async fn send_one_batch(&self, links: &Links) -> Result<(), Problem> {
        let batch = loop {
            let next = self.journal.lock().due();
            match next {
                Some(batch) => break batch,
                None => self.kept.notified().await,
            }
        };
        links
            .require_controller()?
            .ask(&batch, SEND_TIMEOUT)
            .await?;
        let journal = Arc::clone(&self.journal);
        let forgotten = tokio::task::spawn_blocking(move || journal.lock().acknowledged()).await;
        if let Ok(Err(error)) = forgotten {
            tracing::error!(%error, "the journal of records cannot be written; acknowledged ones may be sent again");
        }
        Ok(())
    }
}
