//! Hosts get blocks once the metadata know them: a rebuilt Element then knows
//! where its blocks are.

use std::{sync::Arc, time::Duration};

use gridmart_schemas::problem::Problem;

use crate::storage::{
    Se,
    metadata::{Change, HostRow, query},
    service::Service,
};

/// How often it is looked whether Hosts have come.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) async fn keep(se: &Arc<Se>, service: &Arc<Service>) {
    loop {
        if let Err(problem) = welcome(service).await {
            tracing::warn!(%problem, "new Hosts get no blocks yet");
        }
        // Nothing is missed: it is looked again.
        let _ = tokio::time::timeout(PAUSE, se.links.changed()).await;
        tokio::time::sleep(PAUSE / 20).await;
    }
}

/// Has the metadata know all Hosts of the pool.
async fn welcome(service: &Service) -> Result<(), Problem> {
    let rows = known_take_over(service).await?;
    let unknown = service.data().hosts.unknown();
    if unknown.is_empty() {
        return Ok(());
    }
    for host in unknown {
        if rows.iter().any(|row| row.host == host) {
            // It was removed for good, and is empty to the metadata.
            continue;
        }
        service.commit(Change::HostKnown { host }).await?;
    }
    known_take_over(service).await?;
    Ok(())
}

/// Lets those Hosts get blocks that the metadata know, and no others.
pub(super) async fn known_take_over(service: &Service) -> Result<Vec<HostRow>, Problem> {
    let rows = service.read(query::hosts).await?;
    let (removed, known): (Vec<&HostRow>, Vec<_>) =
        rows.iter().partition(|row| row.removed.is_some());
    let ids = |rows: Vec<&HostRow>| rows.into_iter().map(|row| row.host).collect();
    service.data().hosts.set_known(ids(known), ids(removed));
    Ok(rows)
}
