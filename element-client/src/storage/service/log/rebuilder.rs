//! The Element runs only to make its lost store anew: its Hosts dial it as they
//! always do, and what they have of the log becomes the store.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use gridmart_fabric::causes::with_causes;
use gridmart_schemas::id::NodeId;
use serde::Serialize;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::keeper::{LOOK_PAUSE, mark_begun, store_path, ways_of};
use crate::{
    run::ElementError,
    storage::{
        Se,
        metadata::{Loss, RebuildError, Rebuilt, WriterMark, open_writer, query, rebuild},
    },
};

/// What is to be done, and who is told.
pub(crate) struct RebuildOrder {
    pub(crate) loss: Loss,
    pub(crate) told: oneshot::Sender<Result<RebuildReport, RebuildFailure>>,
    /// Ends the Element when it is done.
    pub(crate) end: CancellationToken,
}

/// Why the store was not made anew.
#[derive(Debug, thiserror::Error)]
pub enum RebuildFailure {
    /// The Element cannot run.
    #[error(transparent)]
    Element(#[from] ElementError),
    /// The Hosts do not make a store.
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    /// Something of this machine.
    #[error("the rebuilt store cannot be used: {0}")]
    Store(String),
}

/// What was made, and of what.
#[derive(Clone, Debug, Serialize)]
pub struct RebuildReport {
    /// Where the store is.
    pub store: String,
    /// The last record of the log.
    pub records: u64,
    /// The record up to which a snapshot went; 0: there was none.
    pub snapshot: u64,
    /// Whether all that was acknowledged is there for certain.
    pub whole: bool,
    /// Hosts that hold the log, as it says itself.
    pub members: usize,
    /// Hosts that have answered.
    pub answered: usize,
    /// Hosts that have not.
    pub away: Vec<AwayHost>,
    /// Buckets that are known again.
    pub buckets: usize,
    /// Objects in them.
    pub objects: u64,
}

/// A Host that did not answer.
#[derive(Clone, Debug, Serialize)]
pub struct AwayHost {
    /// Which one.
    pub host: NodeId,
    /// What is known of it.
    pub why: String,
}

/// Refuses where a store is: nothing is ever rebuilt over it.
pub(crate) fn require_lost(folder: &Path) -> Result<(), ElementError> {
    let path = store_path(folder);
    if path.exists() {
        let path = path.display().to_string();
        return Err(ElementError::StoreThere { path });
    }
    Ok(())
}

/// Does it, tells it, and ends the Element.
pub(super) async fn carry_out(se: Arc<Se>, order: RebuildOrder) {
    let RebuildOrder { loss, told, end } = order;
    se.goods
        .log
        .opening("the store is made anew from the Hosts");
    let Some(done) = se.stop.run_until_cancelled(make(&se, loss)).await else {
        return;
    };
    // Who asked may have left.
    let _ = told.send(done);
    end.cancel();
}

async fn make(se: &Arc<Se>, loss: Loss) -> Result<RebuildReport, RebuildFailure> {
    let hosts = hosts_come(se).await;
    let replicas = ways_of(se).log_hosts().replicas(&hosts);
    let path = store_path(&se.data_dir);
    let made = tokio::task::spawn_blocking(move || {
        let rebuilt = rebuild(&path, &replicas, loss, WriterMark::random())?;
        report(&path, rebuilt)
    });
    let made = made.await;
    let report = made.map_err(|error| RebuildFailure::Store(error.to_string()))??;
    mark_begun(se).await.map_err(RebuildFailure::Store)?;
    Ok(report)
}

/// Waits until all Hosts of the Host table have come, or should have. Gives all
/// of them: one that is away is told of.
async fn hosts_come(se: &Arc<Se>) -> BTreeSet<NodeId> {
    let deadline = se.started + se.return_time;
    loop {
        let (known, missing) = {
            let pool = se.goods.pool.lock();
            let hosts = pool.hosts().filter(|(_, host)| !host.revoked);
            let (mut known, mut missing) = (BTreeSet::new(), 0_usize);
            for (id, host) in hosts {
                known.insert(id);
                missing += usize::from(!host.connected);
            }
            (known, missing)
        };
        let are_all_there = missing == 0 && !known.is_empty();
        if are_all_there || Instant::now() >= deadline {
            return known;
        }
        // Nothing is missed: it is looked again.
        let _ = timeout(LOOK_PAUSE, se.links.changed()).await;
    }
}

fn report(path: &Path, rebuilt: Rebuilt) -> Result<RebuildReport, RebuildFailure> {
    let unusable = |error| RebuildFailure::Store(with_causes(&error));
    let store = open_writer(path).map_err(unusable)?;
    let buckets = query::buckets(&store).map_err(unusable)?;
    let away = rebuilt.away.into_iter().map(|(host, why)| AwayHost {
        host,
        why: why.to_string(),
    });
    Ok(RebuildReport {
        store: path.display().to_string(),
        records: rebuilt.position.sequence,
        snapshot: rebuilt.snapshot,
        whole: rebuilt.is_whole,
        members: rebuilt.membership.hosts().len(),
        answered: rebuilt.answered,
        away: away.collect(),
        buckets: buckets.len(),
        objects: buckets.iter().map(|bucket| bucket.objects).sum(),
    })
}
