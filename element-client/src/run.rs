//! What every Element does at its start, whatever its kind: takes its folder,
//! finds or gets its identity, opens its information base.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    sync::Arc,
};

use gridmart_fabric::{
    disk::RealDisk,
    door::{Door, DoorLimits},
    identity::{IdentityError, NodeIdentity},
    join::{JoinToken, enrol},
    node_lock::{NodeLock, NodeLockError},
    stream::Backoff,
    tls::{ServerTls, TlsError},
};
use gridmart_schemas::{problem::Problem, role::NodeKind};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Config,
    info_base::{InfoBase, LibDocument, LibError},
};

/// Connections that the door of an Element takes at a time: 2,000 Hosts and
/// the programs that wait.
const DOOR_CONNECTIONS_MAX: u32 = 16 * 1024;

/// Why an Element cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ElementError {
    /// The data folder is not to be had.
    #[error(transparent)]
    Folder(#[from] NodeLockError),
    /// Key and certificate cannot be read or kept.
    #[error("the Element's identity cannot be used")]
    Identity(#[from] IdentityError),
    /// There is no identity, and nothing to get one with.
    #[error(
        "this Element has not joined yet: start it with --join-token, made by `gridmart token create --kind {kind} --domain …`"
    )]
    NotJoined {
        /// What it is.
        kind: NodeKind,
    },
    /// The folder belongs to another kind of node.
    #[error(
        "the data folder holds the identity of a node of kind {found}, not of kind {expected}; name another folder"
    )]
    OtherKind {
        /// What is there.
        found: NodeKind,
        /// What should be.
        expected: NodeKind,
    },
    /// The join token cannot be read.
    #[error("the join token cannot be read; copy it whole from `gridmart token create`")]
    Token(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The controller has refused.
    #[error("joining at {controller} was refused: {problem}; {}", problem.hint)]
    Refused {
        /// Where.
        controller: String,
        /// Why.
        problem: Box<Problem>,
    },
    /// The information base cannot be used.
    #[error(transparent)]
    InfoBase(#[from] LibError),
    /// What it knows of its goods cannot be opened.
    #[error(transparent)]
    Store(#[from] gridmart_fabric::sqlite::StoreError),
    /// It had a store of metadata, and has none any more.
    #[error(
        "{path} is gone, in which this Element kept what it knows of its buckets and objects: put \
         it back, or make it anew from the Hosts with `gridmart element storage --rebuild`"
    )]
    StoreLost {
        /// Where it should be.
        path: String,
    },
    /// It has a store of metadata, and was told to make a lost one anew.
    #[error("{path} is there: nothing is rebuilt over it; move it away first")]
    StoreThere {
        /// Where it is.
        path: String,
    },
    /// The configuration does not fit into the information base.
    #[error("the Element's {what} cannot be used: {reason}")]
    Setting {
        /// Which setting.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// The door's address is not to be had.
    #[error("the door cannot listen on {address}; choose another address with --listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The address of a door for people's own programs is not to be had.
    #[error("the {what} door cannot listen on {address}; choose another address with {option}")]
    ListenPublic {
        /// What is spoken there.
        what: &'static str,
        /// With which option it is chosen.
        option: &'static str,
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The key under which secrets of access keys are sealed cannot be used.
    #[error("the secrets of access keys cannot be kept")]
    Sealing(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A file of the data folder refuses.
    #[error("cannot {action} {path}")]
    Disk {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// What the common part of a start gives.
pub(crate) struct Start {
    /// Held as long as the process lives.
    pub(crate) lock: NodeLock,
    pub(crate) identity: NodeIdentity,
    /// It joined just now.
    pub(crate) joined: bool,
}

/// Takes the folder and finds or gets the identity; `None` if told to end.
pub(crate) async fn start(
    config: &Config,
    kind: NodeKind,
    stop: &CancellationToken,
) -> Result<Option<Start>, ElementError> {
    let lock = NodeLock::acquire(&config.data_dir)?;
    if let Some(identity) = NodeIdentity::load(&config.data_dir)? {
        if identity.kind() != kind {
            return Err(ElementError::OtherKind {
                found: identity.kind(),
                expected: kind,
            });
        }
        return Ok(Some(Start {
            lock,
            identity,
            joined: false,
        }));
    }
    let text = config
        .join_token
        .as_deref()
        .ok_or(ElementError::NotJoined { kind })?;
    let token: JoinToken = text
        .parse()
        .map_err(|error| ElementError::Token(Box::new(error)))?;
    let Some(identity) = join(config, &token, stop).await? else {
        return Ok(None);
    };
    identity.save(&config.data_dir)?;
    tracing::info!(node.id = %identity.node(), domain = identity.domain(), "joined");
    Ok(Some(Start {
        lock,
        identity,
        joined: true,
    }))
}

/// Asks the controller until it answers, or says no.
async fn join(
    config: &Config,
    token: &JoinToken,
    stop: &CancellationToken,
) -> Result<Option<NodeIdentity>, ElementError> {
    let endpoints = [config.controller.clone()];
    let backoff = Backoff::default();
    let mut failures = 0;
    loop {
        let Some(tried) = stop
            .run_until_cancelled(enrol(&endpoints, token, &config.name))
            .await
        else {
            return Ok(None);
        };
        match tried {
            Ok(identity) => return Ok(Some(identity)),
            Err(problem) if problem.retryable => {
                failures += 1;
                tracing::warn!(%problem, controller = config.controller, "not joined yet, trying on");
                if stop
                    .run_until_cancelled(tokio::time::sleep(backoff.pause(failures)))
                    .await
                    .is_none()
                {
                    return Ok(None);
                }
            }
            Err(problem) => {
                return Err(ElementError::Refused {
                    controller: config.controller.clone(),
                    problem: Box::new(problem),
                });
            }
        }
    }
}

/// Opens the information base, or makes the first one.
pub(crate) fn open_info_base<D: LibDocument>(
    path: &Path,
    restore: bool,
    first: impl FnOnce() -> Result<D, ElementError>,
) -> Result<InfoBase<D>, ElementError> {
    let disk = Arc::new(RealDisk);
    if restore {
        let generation = InfoBase::<D>::restore(disk.clone(), path)?;
        tracing::warn!(path = %path.display(), generation, "the information base was restored");
    }
    if let Some(base) = InfoBase::open(disk.clone(), path)? {
        return Ok(base);
    }
    Ok(InfoBase::create(disk, path, first()?)?)
}

/// Binds the door: where it was told to, and with port 0 where it was at the
/// last start, so that its Hosts find it again.
pub(crate) async fn bind_door(
    listen: SocketAddr,
    last_port: Option<u16>,
    tls: ServerTls,
) -> Result<Door, ElementError> {
    let limits = DoorLimits {
        connections: DOOR_CONNECTIONS_MAX,
        ..DoorLimits::default()
    };
    if let Some(port) = last_port.filter(|_| listen.port() == 0) {
        let again = SocketAddr::new(listen.ip(), port);
        match Door::bind(again, tls.clone(), limits).await {
            Ok(door) => return Ok(door),
            Err(error) => {
                tracing::warn!(address = %again, %error, "the door's last address is taken; Hosts that know no other will not find it");
            }
        }
    }
    let bound = Door::bind(listen, tls, limits).await;
    bound.map_err(|source| ElementError::Listen {
        address: listen,
        source,
    })
}

/// By which name or address the door is reached. A door on all addresses is
/// named by the one that leads to the controller.
pub(crate) fn reached_by(config: &Config, door: SocketAddr) -> String {
    if let Some(advertise) = &config.advertise {
        return advertise.clone();
    }
    if !door.ip().is_unspecified() {
        return door.ip().to_string();
    }
    let outward = || -> io::Result<IpAddr> {
        // Nothing is sent: the system only says which address it would use.
        let socket = UdpSocket::bind(SocketAddr::new(door.ip(), 0))?;
        socket.connect(config.controller.as_str())?;
        Ok(socket.local_addr()?.ip())
    };
    outward().map_or_else(|_| Ipv4Addr::LOCALHOST.to_string(), |ip| ip.to_string())
}
