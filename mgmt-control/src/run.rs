//! One controller, from start to end.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use gridmart_fabric::{
    authority::{Authority, AuthorityError, NodeSubject},
    door::{Door, DoorLimits},
    identity::{IdentityCell, NodeIdentity},
    node_lock::{NodeLock, NodeLockError},
    ready::{self, Ready},
    throttle::Throttle,
    tls::{Revocations, ServerTls, TlsError, web_server_config},
};
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::{
        Control, console_session::Rotations, explanation::Explanations, package::PackageShelf,
        password::Passwords,
    },
    catalogue::{Catalogue, Snapshot},
    config::{Config, ConfigError, host_and_port},
    edge::{PeopleDoor, PeopleDoorError},
    failure::Failure,
    feed::Feed,
    first_admin,
    gateway::Gateway,
    identity::{self, IdentityFault},
    metrics::ControlMetrics,
    node::{door::NodesDoor, streams::Streams},
    store::StoreError,
    task::{TaskBoard, call_watch, feed, renewal, retention, store_watch},
};

/// How long streams and requests of nodes may take to end.
const NODES_GRACE: Duration = Duration::from_secs(1);
/// How long background tasks may take to end.
const TASKS_GRACE: Duration = Duration::from_secs(1);

/// Why a controller does not start.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder.
    #[error("the data folder {folder} cannot be used: check its owner and free space")]
    Folder {
        /// Which one.
        folder: String,
        /// Why.
        source: std::io::Error,
    },
    /// Another process has the data folder.
    #[error(transparent)]
    Lock(#[from] NodeLockError),
    /// The certificate authority.
    #[error("the certificate authority cannot be opened")]
    Authority(#[from] AuthorityError),
    /// The controller's own certificate.
    #[error("the controller has no identity")]
    Identity(#[source] IdentityFault),
    /// The database.
    #[error("the catalogue cannot be opened")]
    Store(#[from] StoreError),
    /// TLS.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The people's door.
    #[error(transparent)]
    People(#[from] PeopleDoorError),
    /// The nodes' door.
    #[error("cannot listen on {address} for nodes: is it taken? choose another port")]
    Nodes {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The first admin.
    #[error("the first start did not end well")]
    FirstStart(#[from] Failure),
}

/// Runs a controller until `shutdown`; ends within three seconds then.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), ControlError> {
    config.check()?;
    let folder = config.data_dir.clone();
    prepare(&folder).map_err(|source| folder_error(&folder, source))?;
    let lock = NodeLock::acquire(&folder)?;
    ready::withdraw(&folder).map_err(|source| folder_error(&folder, source))?;
    let started = start(&config, shutdown.clone()).await?;
    ready::announce(&folder, &started.ready(&config))
        .map_err(|source| folder_error(&folder, source))?;
    tracing::info!(
        node.id = %started.control.node,
        people = %started.people_address,
        nodes = %started.nodes_address,
        "the controller serves"
    );
    shutdown.cancelled().await;
    if let Err(error) = ready::withdraw(&folder) {
        tracing::warn!(error = %error, "ready.json could not be removed");
    }
    started.stop().await;
    drop(lock);
    tracing::info!("the controller has ended");
    Ok(())
}

fn folder_error(folder: &Path, source: std::io::Error) -> ControlError {
    ControlError::Folder {
        folder: folder.display().to_string(),
        source,
    }
}

fn prepare(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// A controller that serves.
struct Started {
    control: Arc<Control>,
    people: PeopleDoor,
    people_address: SocketAddr,
    nodes: tokio::task::JoinHandle<()>,
    nodes_address: SocketAddr,
}

/// What is bound and opened before anything is served.
struct Opened {
    authority: Authority,
    identity: NodeIdentity,
    subject: NodeSubject,
    catalogue: Catalogue,
    packages: PackageShelf,
    passwords: Passwords,
}

async fn start(config: &Config, shutdown: CancellationToken) -> Result<Started, ControlError> {
    let (listener, people_address) = PeopleDoor::bind(config.people_listen)?;
    let settings = config.clone();
    let opened = tokio::task::spawn_blocking(move || open(&settings, people_address))
        .await
        .map_err(|error| Failure::internal("opening the data folder", &error))??;
    let Opened {
        authority,
        identity,
        subject,
        catalogue,
        packages,
        passwords,
    } = opened;
    let snapshot = catalogue.snapshot();
    let revocations = Revocations::new();
    revocations.replace(
        snapshot
            .nodes
            .values()
            .filter(|node| node.revoked)
            .map(|node| node.id),
    );
    let (node, ticket_key) = (identity.node(), identity.signing_key());
    let identity = IdentityCell::new(identity);
    let door = nodes_door(config, &identity, &revocations).await?;
    let nodes_address = door.local_addr();
    let url = people_url(config, people_address);
    first_admin::ensure(&catalogue, &config.data_dir, &url).await?;
    let gateway = Gateway::new(
        Handle::current(),
        authority.root_pem(),
        config.data_dir.clone(),
    );
    let control = Arc::new(Control {
        node,
        catalogue: Arc::new(catalogue),
        authority,
        identity: Arc::clone(&identity),
        ticket_key,
        revocations,
        streams: Streams::default(),
        explanations: Explanations::default(),
        packages,
        throttle: Throttle::default(),
        gateway,
        rotations: Rotations::default(),
        feed: Feed::default(),
        passwords,
        tasks: TaskBoard::default(),
        metrics: ControlMetrics::new(),
        nodes_endpoint: host_and_port(&config.advertised_host(nodes_address), nodes_address.port()),
        heartbeat_interval: config.heartbeat_interval,
        certificate_lifetime: config.certificate_lifetime,
        shutdown: shutdown.clone(),
        tracker: TaskTracker::new(),
    });
    spawn_tasks(&control, config, subject);
    let service = Arc::new(NodesDoor::new(Arc::clone(&control)));
    let nodes = tokio::spawn(door.serve(service, shutdown));
    let people = open_people(config, &control, listener, identity).await?;
    Ok(Started {
        control,
        people,
        people_address,
        nodes,
        nodes_address,
    })
}

/// Opens what is on the disk; blocks.
fn open(config: &Config, people_address: SocketAddr) -> Result<Opened, ControlError> {
    let folder = &config.data_dir;
    let authority = Authority::open_or_create(&folder.join("authority"))?;
    let advertised = config.advertised_host(people_address);
    let (identity, subject) =
        identity::open(folder, &authority, &advertised, config.certificate_lifetime)
            .map_err(ControlError::Identity)?;
    let catalogue = Catalogue::open(folder)?;
    let known = package_names(&catalogue.snapshot());
    let shelf = folder.join("packages");
    let packages = PackageShelf::open(shelf.clone(), config.package_bytes_max, &known)
        .map_err(|source| folder_error(&shelf, source))?;
    let passwords = Passwords::new()?;
    Ok(Opened {
        authority,
        identity,
        subject,
        catalogue,
        packages,
        passwords,
    })
}

fn package_names(catalogue: &Snapshot) -> BTreeSet<String> {
    catalogue
        .applications
        .keys()
        .map(|digest| digest.hex().to_owned())
        .collect()
}

fn people_url(config: &Config, address: SocketAddr) -> String {
    let scheme = if config.people_speak_tls() {
        "https"
    } else {
        "http"
    };
    let host = config.advertised_host(address);
    // A plain door is on loopback, and is reached there alone.
    let host = if scheme == "http" {
        address.ip().to_string()
    } else {
        host
    };
    format!("{scheme}://{}", host_and_port(&host, address.port()))
}

async fn nodes_door(
    config: &Config,
    identity: &Arc<IdentityCell>,
    revocations: &Revocations,
) -> Result<Door, ControlError> {
    let tls = ServerTls::new(Arc::clone(identity), revocations.clone())?;
    let limits = DoorLimits {
        grace: NODES_GRACE,
        ..DoorLimits::default()
    };
    let address = config.nodes_listen;
    Door::bind(address, tls, limits)
        .await
        .map_err(|source| ControlError::Nodes { address, source })
}

async fn open_people(
    config: &Config,
    control: &Arc<Control>,
    listener: TcpListener,
    identity: Arc<IdentityCell>,
) -> Result<PeopleDoor, ControlError> {
    let tls = if config.people_speak_tls() {
        Some(web_server_config(identity)?)
    } else {
        None
    };
    Ok(PeopleDoor::open(Arc::clone(control), listener, tls).await?)
}

fn spawn_tasks(control: &Arc<Control>, config: &Config, subject: NodeSubject) {
    control
        .tracker
        .spawn(retention::run(Arc::clone(control), config.call_records_max));
    control.tracker.spawn(store_watch::run(Arc::clone(control)));
    control.tracker.spawn(feed::run(Arc::clone(control)));
    control.tracker.spawn(call_watch::run(Arc::clone(control)));
    control
        .tracker
        .spawn(Gateway::keep_tidy(Arc::clone(control)));
    control.tracker.spawn(renewal::run(
        Arc::clone(control),
        config.data_dir.clone(),
        subject,
    ));
}

impl Started {
    fn ready(&self, config: &Config) -> Ready {
        let addresses = BTreeMap::from([
            ("people".to_owned(), self.people_address.to_string()),
            ("nodes".to_owned(), self.nodes_address.to_string()),
        ]);
        Ready {
            role: "control".to_owned(),
            pid: std::process::id(),
            node: Some(self.control.node),
            name: config.name.clone(),
            addresses,
        }
    }

    /// Closes both doors at once, then waits for the tasks, then for the disk.
    async fn stop(self) {
        let Self {
            control,
            people,
            nodes,
            ..
        } = self;
        control.streams.close_all();
        let ((), served) = tokio::join!(people.close(), nodes);
        if served.is_err() {
            tracing::error!("the nodes' door has panicked");
        }
        control.tracker.close();
        if tokio::time::timeout(TASKS_GRACE, control.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!("background tasks did not end in time");
        }
        let catalogue = Arc::clone(&control.catalogue);
        if tokio::task::spawn_blocking(move || catalogue.close())
            .await
            .is_err()
        {
            tracing::error!("the catalogue could not be closed");
        }
    }
}
