//! Compute as a Host's goods: what the Element is told of it and may ask, and
//! the tasks beside the calls.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gridmart_fabric::{
    door::{Request, Response},
    identity::PeerIdentity,
    stream::{Incoming, reply},
};
use gridmart_schemas::{
    id::LeaseId,
    problem::{Code, Problem},
    resource::any::{AnyHost, AnyHostState},
    role::NodeKind,
    wire::{
        Done, Request as _,
        control_element::{Deployment, Terminated},
        element_host::{
            ApplicationEnsure, HeldLease, HostCallTerminate, HostJobTerminate, HostLogRead,
            LeaseEnd, LeasesEnded, LogAnswer,
        },
    },
};
use parking_lot::Mutex;
use serde_json::value::RawValue;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{deploy::Deployer, description::Description, door, leases::Leases, services::Services};
use crate::member::{Goods, Member, Shape, blocking};

/// How often leases and applications are looked after.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Applications that nobody wishes are looked for every so many sweeps.
const APPLICATION_SWEEPS: u32 = 300;
/// Calls have so long to report their ends when the Host goes down.
const END_TIME_MAX: Duration = Duration::from_millis(700);
/// The most ended leases that are told at once.
const ENDED_MAX: usize = 1000;

/// What a compute Host is among Hosts.
pub(super) const SHAPE: Shape = Shape {
    kind: NodeKind::ComputeHost,
    element: NodeKind::ComputingElement,
    trial_folder: "spools",
};

/// See the module.
pub(super) struct Compute {
    pub(super) member: Arc<Member>,
    pub(super) services: Arc<Services>,
    pub(super) leases: Arc<Leases>,
    pub(super) deployer: Arc<Deployer>,
    pub(super) description: Description,
    /// Leases that ended by themselves; taken by the task that tells of them.
    pub(super) ended: Mutex<Option<mpsc::UnboundedReceiver<LeaseId>>>,
}

impl Compute {
    /// Tells the Element of leases that ended by themselves.
    async fn tell_ended(self: Arc<Self>, mut ended: mpsc::UnboundedReceiver<LeaseId>) {
        let mut leases = Vec::new();
        while ended.recv_many(&mut leases, ENDED_MAX).await > 0 {
            let leases = std::mem::take(&mut leases);
            if let Some(peer) = self.member.peer()
                && let Err(problem) = peer.tell(&LeasesEnded { leases }).await
            {
                tracing::debug!(%problem, "ended leases were not told");
            }
        }
    }

    async fn sweep(self: Arc<Self>) {
        let mut interval = tokio::time::interval(SWEEP_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut count = 0u32;
        loop {
            interval.tick().await;
            self.leases.sweep();
            count = count.wrapping_add(1);
            if count.is_multiple_of(APPLICATION_SWEEPS) {
                let compute = Arc::clone(&self);
                let swept = tokio::task::spawn_blocking(move || compute.sweep_applications()).await;
                if let Err(error) = swept {
                    tracing::error!(%error, "applications could not be looked after");
                }
            }
        }
    }

    /// Removes applications that nobody wishes; blocks for the disk.
    fn sweep_applications(&self) {
        let wished: HashSet<_> = self
            .member
            .commands
            .applications()
            .into_iter()
            .map(|wish| wish.digest)
            .collect();
        for digest in self.deployer.sweep(&wished, &self.leases.applications()) {
            self.services.logs.remove(&digest);
        }
    }

    async fn answer(&self, incoming: Incoming) -> Result<Box<RawValue>, Problem> {
        match incoming.kind.as_str() {
            ApplicationEnsure::KIND => {
                let ApplicationEnsure { digest, size } = incoming.read()?;
                self.member.welcomed().await?;
                self.deployer.ensure(&digest, size).await?;
                reply(&self.description.deployment(&digest))
            }
            LeaseEnd::KIND => {
                let LeaseEnd {
                    lease,
                    kill,
                    reason,
                } = incoming.read()?;
                self.leases.end(lease, kill, &reason);
                reply(&Done {})
            }
            HostCallTerminate::KIND => {
                let HostCallTerminate { call, by } = incoming.read()?;
                reply(&Terminated {
                    ended: self.leases.end_call(call, &by),
                })
            }
            HostJobTerminate::KIND => {
                let HostJobTerminate { job, by } = incoming.read()?;
                reply(&Terminated {
                    ended: self.leases.end_job(job, &by),
                })
            }
            HostLogRead::KIND => {
                let read: HostLogRead = incoming.read()?;
                let services = Arc::clone(&self.services);
                reply(&blocking(move || read_log(&services, &read)).await?)
            }
            _ => Err(incoming.unknown()),
        }
    }
}

impl Goods for Compute {
    fn host(&self) -> AnyHost {
        self.description.host().into()
    }

    fn state(&self) -> AnyHostState {
        self.description.state().into()
    }

    fn is_idle(&self) -> bool {
        self.leases.is_idle()
    }

    fn leases(&self) -> Vec<HeldLease> {
        self.leases.held()
    }

    fn deployments(&self) -> Vec<Deployment> {
        self.description.deployments()
    }

    fn end_leases(&self, leases: Vec<LeaseId>) {
        for lease in leases {
            self.leases
                .end(lease, true, "the Element does not know it any more");
        }
    }

    fn follow_wishes(&self) {
        self.leases.end_cut();
        self.sweep_applications();
    }

    fn on_request(&self, incoming: Incoming) -> BoxFuture<'_, Result<Box<RawValue>, Problem>> {
        Box::pin(self.answer(incoming))
    }

    fn on_visit(
        &self,
        peer: PeerIdentity,
        request: Request,
    ) -> BoxFuture<'_, Result<Response, Problem>> {
        let answered = door::answer(&self.member, &self.leases, peer, request);
        Box::pin(std::future::ready(answered))
    }

    fn spawn(self: Arc<Self>, tasks: &TaskTracker, telling: &CancellationToken) {
        if let Some(ended) = self.ended.lock().take() {
            let telling_ended = Arc::clone(&self).tell_ended(ended);
            tasks.spawn(telling.clone().run_until_cancelled_owned(telling_ended));
        }
        let recorder = Arc::clone(&self.services.recorder);
        tasks.spawn(recorder.run(self.member.link(), telling.clone()));
        tasks.spawn(telling.clone().run_until_cancelled_owned(self.sweep()));
    }

    fn end(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.leases.end_all();
            let tasks = &self.services.tasks;
            tasks.close();
            if timeout(END_TIME_MAX, tasks.wait()).await.is_err() {
                tracing::warn!("calls did not end in time: their sandboxes are cut");
            }
        })
    }
}

fn read_log(services: &Services, read: &HostLogRead) -> Result<LogAnswer, Problem> {
    let answer = services.logs.read(read);
    answer.map_err(|error| {
        tracing::warn!(%error, digest = %read.digest, "an application's log cannot be read");
        Problem::new(
            Code::StorageFailed,
            "The application's log cannot be read on the Host.",
        )
    })
}
