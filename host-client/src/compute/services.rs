//! What all leases of a Host share.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use gridmart_schemas::resource::host::HostPolicy;
use gridmart_sdk::TransferMemory;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::{
    limits::Enforceable, log::LogBook, metrics::HostMetrics, recent::Recent, record::Recorder,
    sandbox::SandboxMaker, spool::SpoolRoom,
};
use crate::member::Member;

/// Bytes that all calls of the Host may have on their way to storage Hosts.
const STORING_BYTES_MAX: usize = 128 * 1024 * 1024;

/// The parts of the Host that serve calls.
pub(crate) struct Services {
    pub(crate) member: Arc<Member>,
    /// Makes sandboxes, or says why there are none.
    pub(crate) sandboxes: Result<SandboxMaker, String>,
    /// Folder of the sandboxes' own folders.
    pub(crate) sandbox_folder: PathBuf,
    /// Slots of the Host, taken while a call runs.
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) slots_total: u32,
    /// Taken by whoever counts a work folder: one at a time.
    pub(crate) counting: Arc<Semaphore>,
    /// Shared by all calls that store files in buckets.
    pub(crate) memory: TransferMemory,
    pub(crate) policy: HostPolicy,
    pub(crate) enforceable: Enforceable,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) logs: LogBook,
    pub(crate) spools: Arc<SpoolRoom>,
    pub(crate) recent: Recent,
    pub(crate) metrics: HostMetrics,
    /// All slot tasks.
    pub(crate) tasks: TaskTracker,
    next_sandbox: AtomicU64,
}

/// What [`Services`] is made of.
pub(crate) struct ServiceParts {
    pub(crate) member: Arc<Member>,
    pub(crate) sandboxes: Result<SandboxMaker, String>,
    pub(crate) sandbox_folder: PathBuf,
    pub(crate) slots_total: u32,
    pub(crate) policy: HostPolicy,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) logs: LogBook,
    pub(crate) spools: Arc<SpoolRoom>,
    pub(crate) metrics: HostMetrics,
}

impl Services {
    pub(crate) fn new(parts: ServiceParts) -> Arc<Self> {
        let cgroups = parts
            .sandboxes
            .as_ref()
            .ok()
            .and_then(|maker| maker.cgroups.as_ref());
        let enforceable = cgroups.map_or_else(Enforceable::default, |cgroups| Enforceable {
            memory: cgroups.limits_memory(),
            tasks: cgroups.limits_tasks(),
        });
        Arc::new(Self {
            member: parts.member,
            sandboxes: parts.sandboxes,
            sandbox_folder: parts.sandbox_folder,
            slots: Arc::new(Semaphore::new(parts.slots_total as usize)),
            slots_total: parts.slots_total,
            counting: Arc::new(Semaphore::new(1)),
            memory: TransferMemory::new(STORING_BYTES_MAX),
            policy: parts.policy,
            enforceable,
            recorder: parts.recorder,
            logs: parts.logs,
            spools: parts.spools,
            recent: Recent::new(),
            metrics: parts.metrics,
            tasks: TaskTracker::new(),
            next_sandbox: AtomicU64::new(1),
        })
    }

    /// A name that no sandbox of this start has had.
    pub(crate) fn sandbox_name(&self) -> String {
        self.next_sandbox
            .fetch_add(1, Ordering::Relaxed)
            .to_string()
    }

    /// Slots in which a call runs now.
    pub(crate) fn slots_used(&self) -> u32 {
        let free = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX);
        self.slots_total.saturating_sub(free)
    }
}
