//! Single calls and maps: overdue ones, and those that somebody ends.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use gridmart_fabric::stream::Peer;
use gridmart_schemas::{
    id::NodeId,
    problem::Problem,
    wire::{
        Request,
        control_element::{CallTerminate, JobTerminate, Terminated},
        element_host::{HostCallTerminate, HostJobTerminate},
        queue::{CallOverdue, OverdueAnswer},
    },
};

use super::{Ce, admit::millis, queue::entry::SessionId};
use crate::element::probe::Verdict;

/// How long a Host may take to end calls.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(10);
/// An overdue call is not asked about again before this.
const ASK_AGAIN_MIN: Duration = Duration::from_secs(1);

impl Ce {
    /// A client says that a call is overdue: is its Host there?
    pub(crate) async fn on_overdue(
        self: &Arc<Self>,
        session: SessionId,
        overdue: &CallOverdue,
    ) -> Result<OverdueAnswer, Problem> {
        let (host, again) = self.decide(|queue, _| {
            let host = queue.lease_of(session, overdue.lease)?.host;
            let again = queue
                .host(host)
                .map_or(ASK_AGAIN_MIN, |host| host.overdue_after);
            Ok::<_, Problem>((host, again.max(ASK_AGAIN_MIN)))
        })?;
        Ok(match self.probe(host).await? {
            Verdict::Alive(incarnation) => OverdueAnswer::Alive {
                incarnation,
                again_after_ms: millis(again),
            },
            Verdict::Down => OverdueAnswer::Down {},
        })
    }

    /// Ends one call, wherever it runs.
    pub(crate) async fn terminate_call(&self, terminate: CallTerminate) -> Terminated {
        let told = HostCallTerminate {
            call: terminate.call,
            by: terminate.by,
        };
        let known = self
            .goods
            .queue
            .lock()
            .host_of_call(terminate.call)
            .map(|lease| lease.host);
        let likely = known.and_then(|host| Some((host, self.links.host(host)?)));
        if let Some(host) = likely {
            let ended = ask_all(vec![host], &told).await;
            if ended.ended > 0 {
                return ended;
            }
        }
        // It may have begun since the last heartbeat.
        ask_all(self.links.hosts(), &told).await
    }

    /// Ends a map: its parts on all Hosts, its leases, its place in the queue.
    pub(crate) async fn terminate_job(self: &Arc<Self>, terminate: JobTerminate) -> Terminated {
        let told = HostJobTerminate {
            job: terminate.job,
            by: terminate.by.clone(),
        };
        let ended = ask_all(self.links.hosts(), &told).await;
        // What began meanwhile ends with its lease.
        let leases =
            self.decide(|queue, now| queue.on_job_terminated(terminate.job, &terminate.by, now));
        tracing::info!(job.id = %terminate.job, by = terminate.by, ended = ended.ended, leases, "a map was ended");
        // A map that only waited was ended as well.
        Terminated {
            ended: ended.ended.max(leases),
        }
    }
}

/// Asks Hosts to end something and adds up what they have ended.
async fn ask_all<R: Request<Answer = Terminated>>(
    hosts: Vec<(NodeId, Peer)>,
    request: &R,
) -> Terminated {
    let asked: FuturesUnordered<_> = hosts
        .into_iter()
        .map(async |(host, peer)| match peer.ask(request, TERMINATE_TIMEOUT).await {
            Ok(answer) => answer.ended,
            Err(problem) => {
                tracing::warn!(%problem, node.id = %host, "a Host does not say whether it has ended a call");
                0
            }
        })
        .collect();
    let ended = asked
        .fold(0u64, |sum, ended| {
            std::future::ready(sum.saturating_add(ended))
        })
        .await;
    Terminated { ended }
}
