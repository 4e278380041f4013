//! Starts a compute Host, runs it until it is told to stop, and ends it.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    config::{Config, Embedding},
    deploy::PackageSource,
    description::Description,
    goods::{Compute, SHAPE},
    launcher::{Launcher, LauncherThread},
    leases::Leases,
    metrics::HostMetrics,
    provision::{Wanted, provide},
    sandbox::seen_through,
    services::{ServiceParts, Services},
    stores::Stores,
};
use crate::member::{HostError, Joined, Member};

/// Sandboxes have so long to be gone; the kernel ends them with the Host.
const LAUNCHER_TIME_MAX: Duration = Duration::from_millis(400);

/// Runs a compute Host until `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), HostError> {
    Box::pin(run_embedded(config, Embedding::default(), stop)).await
}

/// Runs a compute Host inside of another program until `stop`.
pub async fn run_embedded(
    config: Config,
    embedding: Embedding,
    stop: CancellationToken,
) -> Result<(), HostError> {
    let Config {
        member: config,
        slots,
        allow_unsandboxed,
    } = config;
    if let Some(shown) = seen_through(&config.data_dir) {
        return Err(HostError::DataFolderShown {
            folder: config.data_dir,
            shown,
        });
    }
    let Some((joined, lock)) = Box::pin(Joined::open(config, SHAPE, &stop)).await? else {
        return Ok(());
    };
    let wanted = Wanted {
        runner: embedding.runner,
        bubblewrap: embedding.bubblewrap,
        allow_unsandboxed,
        groups: joined.member.node.to_string(),
    };
    let opening = Parts {
        wanted,
        slots: slots.unwrap_or_else(cpus).max(1),
        policy: embedding.policy,
    };
    let (compute, launcher_thread) = opening.open(&joined.member).await?;
    let services = Arc::clone(&compute.services);
    let served = joined.serve(Arc::new(compute), stop).await;
    end_launcher(services, launcher_thread).await;
    drop(lock);
    served
}

/// What compute is made with.
struct Parts {
    wanted: Wanted,
    slots: u32,
    policy: gridmart_schemas::resource::host::HostPolicy,
}

impl Parts {
    async fn open(self, member: &Arc<Member>) -> Result<(Compute, LauncherThread), HostError> {
        let (endpoints, expected) = member.element.clone();
        let packages = PackageSource {
            endpoints,
            expected,
            tls: member.tls.clone(),
        };
        let stores = Stores::open(member, packages)?;
        let (launcher, launcher_thread) =
            Launcher::start().map_err(HostError::system("starting", &"the launcher thread"))?;
        let provision = provide(self.wanted, launcher, &stores.sandbox_folder).await;
        let services = Services::new(ServiceParts {
            member: Arc::clone(member),
            sandboxes: provision.sandboxes,
            sandbox_folder: stores.sandbox_folder,
            slots_total: self.slots,
            policy: self.policy,
            recorder: stores.recorder,
            logs: stores.logs,
            spools: stores.spools,
            metrics: HostMetrics::register(&member.metrics),
        });
        let (ended_sender, ended) = mpsc::unbounded_channel();
        let leases = Arc::new(Leases::new(
            Arc::clone(&services),
            Arc::clone(&stores.deployer),
            ended_sender,
        ));
        let description = Description::new(
            Arc::clone(&services),
            Arc::clone(&leases),
            Arc::clone(&stores.deployer),
            provision.complaint,
        );
        let compute = Compute {
            member: Arc::clone(member),
            services,
            leases,
            deployer: stores.deployer,
            description,
            ended: Mutex::new(Some(ended)),
        };
        Ok((compute, launcher_thread))
    }
}

fn cpus() -> u32 {
    std::thread::available_parallelism()
        .ok()
        .and_then(|cpus| u32::try_from(cpus.get()).ok())
        .unwrap_or(1)
}

/// Waits until sandboxes are buried, as long as that takes little time.
async fn end_launcher(services: Arc<Services>, thread: LauncherThread) {
    let cgroups = services
        .sandboxes
        .as_ref()
        .ok()
        .and_then(|maker| maker.cgroups.clone());
    // The launcher goes with the last who can give it orders.
    drop(services);
    let ended = tokio::task::spawn_blocking(move || {
        let until = std::time::Instant::now() + LAUNCHER_TIME_MAX;
        while !thread.is_finished() && std::time::Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        if let Some(cgroups) = cgroups {
            cgroups.remove();
        }
    });
    let _ = ended.await;
}
