//! A Host that has joined: opens what every Host has, and runs it with its goods
//! until it is told to stop.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use gridmart_fabric::{
    disk::{Disk, RealDisk},
    identity::{IdentityCell, NodeIdentity},
    node_lock::NodeLock,
    ready::{self, Ready},
    stream::{Backoff, Dialer, StreamLimits},
    telemetry::Metrics,
    tls::{ClientTls, Revocations, ServerTls},
};
use gridmart_schemas::{
    id::{Incarnation, NodeId},
    role::NodeKind,
    scalar::{LocalId, Token, UtcTime},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    comm::{Comm, CommHandler},
    command::Commands,
    config::MemberConfig,
    disk_watch::DiskWatch,
    door::HostDoor,
    entrance::Entrance,
    error::HostError,
    goods::{Goods, Shape},
    join::{join, load_identity},
    member::Member,
    profile::Profile,
    relay::Relay,
    trust::Trust,
};
use crate::facts::Machine;

/// The tasks of a Host that goes down have so long to end.
const TASKS_TIME_MAX: Duration = Duration::from_millis(500);

/// A Host that has joined, and serves nobody yet.
pub(crate) struct Joined {
    /// What its goods are made with.
    pub(crate) member: Arc<Member>,
    config: MemberConfig,
    kind: NodeKind,
    entrance: Entrance,
    /// It joined just now.
    is_new: bool,
}

impl Joined {
    /// Takes the data folder, joins if it has not, and opens what every Host
    /// has. The lock is the caller's, to be kept until nothing of the Host runs
    /// any more. `None`: it was told to stop before it had joined.
    pub(crate) async fn open(
        config: MemberConfig,
        shape: Shape,
        stop: &CancellationToken,
    ) -> Result<Option<(Self, NodeLock)>, HostError> {
        let name = Token::new(&config.name).map_err(|error| HostError::Name {
            reason: error.to_string(),
        })?;
        let lock = NodeLock::acquire(&config.data_dir)?;
        let _ = ready::withdraw(&config.data_dir);
        let (identity, is_new) = match load_identity(&config, shape.kind)? {
            Some(identity) => (identity, false),
            None => match Box::pin(join(&config, shape.kind, stop)).await? {
                Some(identity) => (identity, true),
                None => return Ok(None),
            },
        };
        let (member, entrance) = open_member(&config, name, shape, identity).await?;
        let joined = Self {
            member: Arc::new(member),
            config,
            kind: shape.kind,
            entrance,
            is_new,
        };
        Ok(Some((joined, lock)))
    }

    /// Serves until `stop`.
    pub(crate) async fn serve(
        self,
        goods: Arc<dyn Goods>,
        stop: CancellationToken,
    ) -> Result<(), HostError> {
        let address = self.entrance.address();
        let (member, tasks) = (Arc::clone(&self.member), TaskTracker::new());
        // What tells the Element ends after what it tells of has ended.
        let (serving, telling) = (CancellationToken::new(), CancellationToken::new());
        let service = HostDoor {
            goods: Arc::clone(&goods),
            member: Arc::clone(&member),
        };
        let door = self.entrance.serve(Arc::new(service), serving.clone());
        let comm = Arc::new(Comm {
            member: Arc::clone(&member),
            goods: Arc::clone(&goods),
        });
        keep_connected(comm, &tasks, &telling);
        Arc::clone(&goods).spawn(&tasks, &telling);
        tasks.close();

        let announced = announce(
            &self.config,
            self.kind,
            &member,
            address,
            self.is_new,
            &stop,
        )
        .await;
        if announced.is_ok() {
            stop.cancelled().await;
        }
        let _ = ready::withdraw(&self.config.data_dir);
        serving.cancel();
        tracing::info!("the Host goes down");
        goods.end().await;
        telling.cancel();
        end_tasks(&tasks, &member.visits, door).await;
        announced
    }
}

async fn open_member(
    config: &MemberConfig,
    name: Token,
    shape: Shape,
    identity: NodeIdentity,
) -> Result<(Member, Entrance), HostError> {
    let (node, element) = (identity.node(), identity.parent());
    let domain = LocalId::new(identity.domain()).map_err(io::Error::other);
    let domain = domain.map_err(HostError::system("using", &"the domain of its certificate"))?;
    let expected = (element, shape.element);
    let identity = IdentityCell::new(identity);
    let revocations = Revocations::new();
    let tls = ClientTls::node(Arc::clone(&identity), revocations.clone())?;
    let server_tls = ServerTls::new(Arc::clone(&identity), revocations.clone())?;
    let entrance = Entrance::open(config, server_tls).await?;
    let dialled = vec![config.element.clone()];
    let relay = entrance
        .usher()
        .map(|usher| Relay::new(dialled.clone(), expected, tls.clone(), usher));

    let (disk_watch, commands, trust) = open_files(config, shape, element)?;
    let machine = Machine::new(&config.data_dir);
    let endpoints = entrance
        .address()
        .map_or_else(Vec::new, |address| config.endpoints(address, &machine));
    let member = Member {
        node,
        incarnation: Incarnation::generate(),
        data_dir: config.data_dir.clone(),
        disk_watch,
        commands,
        trust,
        profile: Profile {
            name,
            domain,
            node,
            element,
            endpoints,
            started: UtcTime::now(),
            machine: Mutex::new(machine),
        },
        metrics: Metrics::new(),
        visits: TaskTracker::new(),
        changed: Arc::new(Notify::new()),
        element: (dialled, expected),
        tls,
        identity,
        revocations,
        relay,
        link: watch::Sender::new(None),
        heartbeat_ms: Member::heartbeat_default(),
    };
    Ok((member, entrance))
}

/// Opens what the Element has told an earlier start.
fn open_files(
    config: &MemberConfig,
    shape: Shape,
    element: NodeId,
) -> Result<(Arc<DiskWatch>, Commands, Trust), HostError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let disk_watch = DiskWatch::new(Arc::clone(&disk), &config.data_dir.join(shape.trial_folder));
    let (desired, trust) = (
        config.data_dir.join("desired.json"),
        config.data_dir.join("element.json"),
    );
    let commands = Commands::open(Arc::clone(&disk_watch), &desired)
        .map_err(HostError::system("reading", &desired.display()))?;
    let trust = Trust::open(disk, &trust, element)
        .map_err(HostError::system("reading", &trust.display()))?;
    Ok((disk_watch, commands, trust))
}

/// Starts what keeps the Element told.
fn keep_connected(comm: Arc<Comm>, tasks: &TaskTracker, telling: &CancellationToken) {
    let (endpoints, expected) = comm.member.element.clone();
    let dialer = Dialer {
        endpoints,
        expected,
        tls: comm.member.tls.clone(),
        path: "/v1/control".to_owned(),
        handler: Arc::new(CommHandler(Arc::clone(&comm))),
        limits: StreamLimits::default(),
        backoff: Backoff::default(),
    };
    let greeter = Arc::clone(&comm);
    tasks.spawn(dialer.keep_connected(
        move |peer| Box::pin(Arc::clone(&greeter).hello(peer)),
        telling.clone(),
    ));
    tasks.spawn(Arc::clone(&comm).tell_state(telling.clone()));
    tasks.spawn(comm.tell_changes(telling.clone()));
}

/// Says that the Host is ready: at once where it has been welcomed before,
/// else after its first welcome.
async fn announce(
    config: &MemberConfig,
    kind: NodeKind,
    member: &Member,
    address: Option<SocketAddr>,
    is_new: bool,
    stop: &CancellationToken,
) -> Result<(), HostError> {
    let mut link = member.link();
    if is_new
        && stop
            .run_until_cancelled(link.wait_for(Option::is_some))
            .await
            .is_none()
    {
        return Ok(());
    }
    let ready = Ready {
        role: kind.as_str().to_owned(),
        pid: std::process::id(),
        node: Some(member.node),
        name: config.name.clone(),
        addresses: address
            .map(|address| ("door".to_owned(), address.to_string()))
            .into_iter()
            .collect(),
    };
    ready::announce(&config.data_dir, &ready)
        .map_err(HostError::system("writing", &config.data_dir.display()))?;
    let door = address.map_or_else(|| "none: relayed".to_owned(), |address| address.to_string());
    tracing::info!(node.id = %member.node, door, "the Host is ready");
    Ok(())
}

async fn end_tasks(tasks: &TaskTracker, visits: &TaskTracker, door: JoinHandle<()>) {
    visits.close();
    let rest = async { tokio::join!(tasks.wait(), visits.wait(), door) };
    if timeout(TASKS_TIME_MAX, rest).await.is_err() {
        tracing::debug!("some tasks of the Host did not end in time");
    }
}
