//! Starts a compute Host, runs it until it is told to stop, and ends it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use gridmart_fabric::{
    door::{Door, DoorLimits, InnerDoor, Service, Usher},
    identity::{IdentityCell, NodeIdentity},
    node_lock::NodeLock,
    ready::{self, Ready},
    stream::{Backoff, Dialer, Peer, StreamLimits},
    telemetry::Metrics,
    tls::{ClientTls, Revocations, ServerTls},
};
use gridmart_schemas::{
    id::{LeaseId, NodeId},
    role::NodeKind,
    scalar::{LocalId, Token},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    comm::{Comm, CommHandler, CommParts},
    config::{Config, Embedding},
    deploy::PackageSource,
    description::{Description, DescriptionParts},
    door::HostDoor,
    error::HostError,
    join::{join, load_identity},
    launcher::{Launcher, LauncherThread},
    leases::Leases,
    metrics::HostMetrics,
    provision::{Wanted, provide},
    record::Recorder,
    relay::Relay,
    sandbox::seen_through,
    services::{ServiceParts, Services},
    stores::Stores,
};
use crate::facts::Machine;

/// How often leases and applications are looked after.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Applications that nobody wishes are looked for every so many sweeps.
const APPLICATION_SWEEPS: u32 = 300;
/// Calls have so long to report their ends when the Host goes down.
const END_TIME_MAX: Duration = Duration::from_millis(700);
/// Requests at the door have so long.
const DOOR_GRACE: Duration = Duration::from_millis(300);
/// The other tasks have so long.
const TASKS_TIME_MAX: Duration = Duration::from_millis(500);
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
    let name = Token::new(&config.name).map_err(|error| HostError::Name {
        reason: error.to_string(),
    })?;
    if let Some(shown) = seen_through(&config.data_dir) {
        return Err(HostError::DataFolderShown {
            folder: config.data_dir.clone(),
            shown,
        });
    }
    let lock = NodeLock::acquire(&config.data_dir)?;
    let _ = ready::withdraw(&config.data_dir);
    let (identity, is_new) = match load_identity(&config)? {
        Some(identity) => (identity, false),
        None => match Box::pin(join(&config, &stop)).await? {
            Some(identity) => (identity, true),
            None => return Ok(()),
        },
    };
    let host = Host::open(config, name, embedding, identity).await?;
    let served = host.serve(is_new, stop).await;
    drop(lock);
    served
}

/// Everything that a running Host is made of.
struct Host {
    config: Config,
    network: Network,
    comm: Arc<Comm>,
    metrics: Metrics,
    recorder: Arc<Recorder>,
    ended: mpsc::UnboundedReceiver<LeaseId>,
    launcher_thread: LauncherThread,
}

/// Where programs come in.
enum Entrance {
    /// They dial.
    Door(Door),
    /// The Element says that they are there, and the Host dials.
    Relayed(InnerDoor, Usher),
}

impl Entrance {
    async fn open(config: &Config, tls: ServerTls) -> Result<Self, HostError> {
        let limits = DoorLimits {
            grace: DOOR_GRACE,
            ..DoorLimits::default()
        };
        if config.relayed {
            let (door, usher) = InnerDoor::new(tls, limits);
            return Ok(Self::Relayed(door, usher));
        }
        let bound = Door::bind(config.listen, tls, limits).await;
        bound
            .map(Self::Door)
            .map_err(HostError::system("listening at", &config.listen))
    }

    const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Door(door) => Some(door.local_addr()),
            Self::Relayed(..) => None,
        }
    }

    fn serve(self, service: Arc<dyn Service>, stop: CancellationToken) -> JoinHandle<()> {
        match self {
            Self::Door(door) => tokio::spawn(door.serve(service, stop)),
            Self::Relayed(door, _) => tokio::spawn(door.serve(service, stop)),
        }
    }
}

/// The Host's two ends of the network: its door, and how it dials.
struct Network {
    identity: Arc<IdentityCell>,
    revocations: Revocations,
    tls: ClientTls,
    entrance: Entrance,
    /// Its Element.
    expected: (NodeId, NodeKind),
}

impl Network {
    async fn open(config: &Config, identity: NodeIdentity) -> Result<Self, HostError> {
        let expected = (identity.parent(), NodeKind::ComputingElement);
        let identity = IdentityCell::new(identity);
        let revocations = Revocations::new();
        let tls = ClientTls::node(Arc::clone(&identity), revocations.clone())?;
        let server_tls = ServerTls::new(Arc::clone(&identity), revocations.clone())?;
        let entrance = Entrance::open(config, server_tls).await?;
        Ok(Self {
            identity,
            revocations,
            tls,
            entrance,
            expected,
        })
    }

    /// Where packages come from: the Element.
    fn packages(&self, config: &Config) -> PackageSource {
        PackageSource {
            endpoints: vec![config.element.clone()],
            expected: self.expected,
            tls: self.tls.clone(),
        }
    }

    /// How programs are brought in by way of the Element, if they are.
    fn relay(&self, config: &Config) -> Option<Relay> {
        let Entrance::Relayed(_, usher) = &self.entrance else {
            return None;
        };
        Some(Relay::new(
            vec![config.element.clone()],
            self.expected,
            self.tls.clone(),
            usher.clone(),
        ))
    }
}

impl Host {
    async fn open(
        config: Config,
        name: Token,
        embedding: Embedding,
        identity: NodeIdentity,
    ) -> Result<Self, HostError> {
        let (node, element) = (identity.node(), identity.parent());
        let domain = LocalId::new(identity.domain()).map_err(io::Error::other);
        let domain =
            domain.map_err(HostError::system("using", &"the domain of its certificate"))?;
        let network = Network::open(&config, identity).await?;
        let metrics = Metrics::new();
        let stores = Stores::open(&config.data_dir, network.packages(&config))?;
        let (launcher, launcher_thread) =
            Launcher::start().map_err(HostError::system("starting", &"the launcher thread"))?;
        let wanted = Wanted {
            runner: embedding.runner,
            bubblewrap: embedding.bubblewrap,
            allow_unsandboxed: config.allow_unsandboxed,
            groups: node.to_string(),
        };
        let provision = provide(wanted, launcher, &stores.sandbox_folder).await;
        let services = Services::new(ServiceParts {
            host: node,
            disk_watch: stores.disk_watch,
            sandboxes: provision.sandboxes,
            sandbox_folder: stores.sandbox_folder,
            slots_total: config.slots.unwrap_or_else(cpus).max(1),
            commands: stores.commands,
            policy: embedding.policy,
            recorder: Arc::clone(&stores.recorder),
            logs: stores.logs,
            spools: stores.spools,
            metrics: HostMetrics::register(&metrics),
        });
        let (ended_sender, ended) = mpsc::unbounded_channel();
        let trust = config.data_dir.join("element.json");
        let leases = Leases::open(
            Arc::clone(&services),
            Arc::clone(&stores.deployer),
            element,
            &trust,
            ended_sender,
        )
        .map_err(HostError::system("reading", &trust.display()))?;
        let leases = Arc::new(leases);
        let machine = Machine::new(&config.data_dir);
        let address = network.entrance.address();
        let endpoints =
            address.map_or_else(Vec::new, |address| config.endpoints(address, &machine));
        let relay = network.relay(&config).map(Arc::new);
        let description = Arc::new(Description::new(DescriptionParts {
            name,
            domain,
            element,
            endpoints: endpoints.clone(),
            machine,
            services: Arc::clone(&services),
            leases: Arc::clone(&leases),
            deployer: Arc::clone(&stores.deployer),
            complaint: provision.complaint,
            relay: relay.clone(),
        }));
        let comm = Comm::new(CommParts {
            services,
            leases,
            deployer: stores.deployer,
            description,
            identity: Arc::clone(&network.identity),
            identity_folder: config.data_dir.clone(),
            revocations: network.revocations.clone(),
            endpoints,
            relay,
        });
        let recorder = stores.recorder;
        Ok(Self {
            config,
            network,
            comm,
            metrics,
            recorder,
            ended,
            launcher_thread,
        })
    }

    async fn serve(self, is_new: bool, stop: CancellationToken) -> Result<(), HostError> {
        let Self {
            config,
            network,
            comm,
            metrics,
            recorder,
            ended,
            launcher_thread,
        } = self;
        let Network {
            identity,
            tls,
            entrance,
            expected,
            ..
        } = network;
        let address = entrance.address();
        let dialer = Dialer {
            endpoints: vec![config.element.clone()],
            expected,
            tls,
            path: "/v1/control".to_owned(),
            handler: Arc::new(CommHandler(Arc::clone(&comm))),
            limits: StreamLimits::default(),
            backoff: Backoff::default(),
        };
        let tasks = TaskTracker::new();
        let connections = TaskTracker::new();
        // What tells the Element ends after what it tells of has ended.
        let (serving, telling) = (CancellationToken::new(), CancellationToken::new());
        let service = HostDoor {
            leases: Arc::clone(&comm.leases),
            metrics,
            tasks: connections.clone(),
        };
        let door = entrance.serve(Arc::new(service), serving.clone());
        let greeter = Arc::clone(&comm);
        tasks.spawn(dialer.keep_connected(
            move |peer| Box::pin(Arc::clone(&greeter).hello(peer)),
            telling.clone(),
        ));
        tasks.spawn(Arc::clone(&comm).tell_state(telling.clone()));
        tasks.spawn(Arc::clone(&comm).tell_changes(telling.clone()));
        tasks.spawn(
            telling
                .clone()
                .run_until_cancelled_owned(Arc::clone(&comm).tell_ended(ended)),
        );
        tasks.spawn(recorder.run(comm.element.subscribe(), telling.clone()));
        tasks.spawn(
            telling
                .clone()
                .run_until_cancelled_owned(sweep(Arc::clone(&comm))),
        );
        tasks.close();

        let announced = announce(
            &config,
            &identity,
            address,
            is_new,
            comm.element.subscribe(),
            &stop,
        )
        .await;
        if announced.is_ok() {
            stop.cancelled().await;
        }
        let _ = ready::withdraw(&config.data_dir);
        serving.cancel();
        end_calls(&comm).await;
        telling.cancel();
        connections.close();
        let rest = async { tokio::join!(tasks.wait(), connections.wait(), door) };
        if timeout(TASKS_TIME_MAX, rest).await.is_err() {
            tracing::debug!("some tasks of the Host did not end in time");
        }
        end_launcher(comm, launcher_thread).await;
        announced
    }
}

fn cpus() -> u32 {
    std::thread::available_parallelism()
        .ok()
        .and_then(|cpus| u32::try_from(cpus.get()).ok())
        .unwrap_or(1)
}

/// Says that the Host is ready: at once where it has been welcomed before,
/// else after its first welcome.
async fn announce(
    config: &Config,
    identity: &IdentityCell,
    address: Option<SocketAddr>,
    is_new: bool,
    mut element: watch::Receiver<Option<Peer>>,
    stop: &CancellationToken,
) -> Result<(), HostError> {
    if is_new
        && stop
            .run_until_cancelled(element.wait_for(Option::is_some))
            .await
            .is_none()
    {
        return Ok(());
    }
    let node = identity.current().node();
    let ready = Ready {
        role: NodeKind::ComputeHost.as_str().to_owned(),
        pid: std::process::id(),
        node: Some(node),
        name: config.name.clone(),
        addresses: address
            .map(|address| ("door".to_owned(), address.to_string()))
            .into_iter()
            .collect(),
    };
    ready::announce(&config.data_dir, &ready)
        .map_err(HostError::system("writing", &config.data_dir.display()))?;
    let door = address.map_or_else(|| "none: relayed".to_owned(), |address| address.to_string());
    tracing::info!(node.id = %node, door, "the Host is ready");
    Ok(())
}

/// Ends what runs, and lets it be told.
async fn end_calls(comm: &Comm) {
    tracing::info!("the Host goes down");
    comm.leases.end_all();
    comm.services.tasks.close();
    if timeout(END_TIME_MAX, comm.services.tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!("calls did not end in time: their sandboxes are cut");
    }
}

async fn sweep(comm: Arc<Comm>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count = 0u32;
    loop {
        interval.tick().await;
        comm.leases.sweep();
        count = count.wrapping_add(1);
        if count.is_multiple_of(APPLICATION_SWEEPS) {
            let comm = Arc::clone(&comm);
            let swept = tokio::task::spawn_blocking(move || comm.sweep_applications()).await;
            if let Err(error) = swept {
                tracing::error!(%error, "applications could not be looked after");
            }
        }
    }
}

/// Waits until sandboxes are buried, as long as that takes little time.
async fn end_launcher(comm: Arc<Comm>, thread: LauncherThread) {
    let cgroups = comm
        .services
        .sandboxes
        .as_ref()
        .ok()
        .and_then(|maker| maker.cgroups.clone());
    // The launcher goes with the last who can give it orders.
    drop(comm);
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
