//! What the controller asks of transfers, and what Hosts are told of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use gridmart_fabric::{
    disk::RealDisk,
    stream::{Incoming, Peer, reply},
    ticket::{LEEWAY, LIFE_MAX},
};
use gridmart_schemas::{
    id::{BlockId, NodeId, TransferId},
    problem::{Code, Problem},
    wire::{
        Request as _,
        control_element::Terminated,
        transfer::{TRANSFERS_MAX, TransferList, TransferTerminate, TransfersEnd, TransfersTold},
    },
};
use serde_json::value::RawValue;

use super::{
    Transfers,
    killed::Killed,
    present::{Kill, Leftover},
};
use crate::storage::{Se, metadata::Change};

/// How long a Host may take to end a transfer: a ticket is of no use after a few
/// minutes whatever it says.
const TELL_TIMEOUT: Duration = Duration::from_secs(3);

impl Transfers {
    fn list(&self, list: &TransferList) -> TransfersTold {
        let limit = list.limit.clamp(1, TRANSFERS_MAX) as usize;
        let register = self.register.lock();
        let transfers = register.list(limit, |subject| {
            list.transfer.is_none_or(|id| subject.transfer == id)
                && (list.owner.is_none() || list.owner == subject.owner)
                && list
                    .bucket
                    .as_ref()
                    .is_none_or(|name| *name == subject.bucket_name)
        });
        TransfersTold { transfers }
    }

    /// Brings the list of killed ones to the disk; blocks.
    fn keep_killed(&self) -> Result<(), Problem> {
        let _one_at_a_time = self.killed_writing.lock();
        let all = self.register.lock().killed.all();
        Killed::write(&all, &RealDisk, &self.killed_path).map_err(|error| {
            tracing::error!(%error, path = %self.killed_path.display(), "a kill is not on the disk");
            Problem::new(
                Code::StorageFailed,
                "The transfer is ended, but that is not on the Element's disk: if the Element is \
                 started again, its program may go on.",
            )
        })
    }

    /// Those whose tickets may be in force.
    fn killed_lately(&self) -> Vec<TransferId> {
        let life = time::Duration::try_from(LIFE_MAX + LEEWAY + LEEWAY);
        let register = self.register.lock();
        register.killed.lately(life.unwrap_or(time::Duration::HOUR))
    }
}

impl Se {
    /// Answers what the controller asks of transfers; nothing for other questions.
    pub(in crate::storage) async fn on_transfer_request(
        self: &Arc<Self>,
        incoming: &Incoming,
    ) -> Option<Result<Box<RawValue>, Problem>> {
        Some(match incoming.kind.as_str() {
            TransferList::KIND => incoming
                .read::<TransferList>()
                .and_then(|list| reply(&self.goods.transfers.list(&list))),
            TransferTerminate::KIND => match incoming.read() {
                Ok(terminate) => match self.transfer_terminate(&terminate).await {
                    Ok(terminated) => reply(&terminated),
                    Err(problem) => Err(problem),
                },
                Err(problem) => Err(problem),
            },
            _ => return None,
        })
    }

    async fn transfer_terminate(
        self: &Arc<Self>,
        terminate: &TransferTerminate,
    ) -> Result<Terminated, Problem> {
        let TransferTerminate {
            transfer,
            owner,
            by,
        } = terminate;
        let transfers = &self.goods.transfers;
        let kill = {
            let mut register = transfers.register.lock();
            register.kill(*transfer, owner.as_ref(), by)
        };
        let (record, leftover) = match kill {
            Kill::Unknown => return Ok(Terminated::default()),
            Kill::TooLate => {
                let detail = format!("The transfer {transfer} is being committed: it is too late.");
                return Err(Problem::new(Code::PreconditionFailed, detail));
            }
            Kill::Request(record) => (record, None),
            Kill::Program(record, leftover) => (record, Some(leftover)),
        };
        tracing::info!(transfer.id = %transfer, %by, "a transfer was killed");
        transfers.outbox.put([record]);
        if let Some(leftover) = leftover {
            self.blocking(|se| se.goods.transfers.keep_killed())
                .await??;
            tell(self.links.hosts(), &[*transfer]).await;
            self.clear(leftover).await?;
        }
        Ok(Terminated { ended: 1 })
    }

    /// Forgets the parts of a killed put, and has its blocks deleted. Those that
    /// cannot be deleted now are nobody's, and are collected.
    async fn clear(&self, leftover: Leftover) -> Result<(), Problem> {
        let Leftover { upload, planned } = leftover;
        let service = self.goods.service()?;
        if let Some(upload) = upload {
            match service.commit(Change::UploadAbort { upload }).await {
                // It was completed or given up before.
                Err(problem) if problem.code != Code::NotFound => return Err(problem),
                _ => {}
            }
        }
        let mut blocks: BTreeMap<NodeId, Vec<BlockId>> = BTreeMap::new();
        for (stripe, hosts) in planned {
            for (position, host) in (0u8..).zip(hosts) {
                let block = BlockId { stripe, position };
                blocks.entry(host).or_default().push(block);
            }
        }
        service.data().hosts.delete(blocks).await;
        Ok(())
    }

    /// A Host has come, which may have forgotten what it was told.
    pub(in crate::storage) fn tell_killed(self: &Arc<Self>, host: NodeId) {
        let lately = self.goods.transfers.killed_lately();
        let Some(peer) = self.links.host(host).filter(|_| !lately.is_empty()) else {
            return;
        };
        self.tasks
            .spawn(async move { tell(vec![(host, peer)], &lately).await });
    }
}

/// Tells Hosts that transfers are killed. One that does not hear of it serves
/// their tickets until those run out; what is written there is never shown.
async fn tell(hosts: Vec<(NodeId, Peer)>, transfers: &[TransferId]) {
    let end = TransfersEnd {
        transfers: transfers.to_vec(),
    };
    let told = hosts.into_iter().map(async |(host, peer)| {
        if let Err(problem) = peer.ask(&end, TELL_TIMEOUT).await {
            tracing::warn!(%problem, node.id = %host, "a Host does not know that a transfer was killed");
        }
    });
    join_all(told).await;
}
