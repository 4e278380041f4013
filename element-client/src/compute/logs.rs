//! What applications have printed, asked of the Hosts.

use std::time::Duration;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    id::NodeId,
    wire::{
        control_element::{LogRead, LogsRead},
        element_host::{HostLogRead, LogAnswer},
    },
};

use super::Ce;

/// How long Hosts may take to give log lines.
const LOG_TIMEOUT: Duration = Duration::from_secs(10);

impl Ce {
    /// Asks all Hosts that are there what an application has printed.
    pub(crate) async fn read_logs(&self, read: LogRead) -> LogsRead {
        let asked: FuturesUnordered<_> = self
            .links
            .hosts()
            .into_iter()
            .map(|(host, peer)| self.read_host_log(host, peer, &read))
            .collect();
        LogsRead {
            hosts: asked.filter_map(std::future::ready).collect().await,
        }
    }

    async fn read_host_log(
        &self,
        host: NodeId,
        peer: Peer,
        read: &LogRead,
    ) -> Option<(NodeId, LogAnswer)> {
        let asked = HostLogRead {
            digest: read.digest.clone(),
            owner: read.owner.clone(),
            cursor: read.cursors.get(&host).copied(),
            bytes_max: read.bytes_max,
        };
        match peer.ask(&asked, LOG_TIMEOUT).await {
            Ok(answer) => Some((host, answer)),
            Err(problem) => {
                tracing::debug!(%problem, node.id = %host, "a Host gives no log");
                None
            }
        }
    }
}
