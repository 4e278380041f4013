//! The PostgreSQL door of a running Element: where it is, and serving at it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use gridmart_fabric::identity::DoorName;
use gridmart_schemas::{
    resource::{de_doc::DeDocument, enumeration::AccessProtocolType, se::AccessProtocol},
    role::Desired,
    scalar::{LocalId, Uri},
    wire::{desired::ElementDesired, sql_session::SqlDoor},
};
use parking_lot::Mutex;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio_rustls::rustls::ServerConfig;

use super::{entry, sessions::Sessions, wire::Weigh};
use crate::{
    data::{De, sessions::SqlSession},
    element::goods::Opening,
    public::door::{DoorBounds, Listening, Place, PublicDoor, Tls},
    run::ElementError,
};

/// Its name among the Element's doors for data.
const LOCAL_ID: &str = "postgresql";
/// What it is called in logs.
const WHAT: &str = "PostgreSQL";
/// What is spoken within TLS, for clients that begin with it.
const ALPN: &[u8] = b"postgresql";
/// How much the door takes.
const BOUNDS: DoorBounds = DoorBounds {
    connections: 1024,
    connections_per_address: 512,
    grace: Duration::from_secs(10),
};

/// A connection that says nothing is asked after so long, and then so often.
const KEEP_ALIVE_AFTER: Duration = Duration::from_mins(2);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(20);

/// See the module.
pub(in crate::data) struct PostgresStanding {
    /// Taken by whoever serves at it.
    door: Mutex<Option<PublicDoor>>,
    /// `HOST:PORT` by which programs reach it.
    pub(in crate::data) endpoint: String,
    /// By which programs may reach it, over TLS.
    pub(in crate::data) names: Vec<DoorName>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) weigh: Weigh,
}

/// The port of the last start.
fn last_port(document: &DeDocument) -> Option<u16> {
    let doors = &document.element.info.access_protocols;
    let door = doors
        .iter()
        .find(|door| door.kind == AccessProtocolType::Postgresql)?;
    let (_, port) = door.endpoint.as_str().rsplit_once(':')?;
    port.parse().ok()
}

impl PostgresStanding {
    /// Binds the door. Blocks.
    pub(in crate::data) fn open(opening: &Opening<'_, DeDocument>) -> Result<Self, ElementError> {
        let listening = Listening {
            identity: opening.identity,
            listen: opening.config.postgres_listen,
            last_port: last_port(opening.document),
            what: WHAT,
            option: "--postgres-listen",
        };
        let door = PublicDoor::open(&listening, BOUNDS)?;
        let (endpoint, names) = door.reached(opening.config);
        Ok(Self {
            door: Mutex::new(Some(door)),
            endpoint,
            names,
            sessions: Arc::default(),
            weigh: Weigh::default(),
        })
    }

    /// Where it is, as programs are told.
    pub(in crate::data) fn url(&self) -> String {
        format!("postgresql://{}", self.endpoint)
    }

    /// Ends the sessions that came with that access key.
    pub(in crate::data) fn end_sessions_of(&self, access_key: &str) {
        self.sessions.end_of(access_key);
    }

    fn protocol(&self) -> Option<AccessProtocol> {
        let id = LocalId::new(LOCAL_ID).ok()?;
        let url: Uri = self.url().parse().ok()?;
        Some(AccessProtocol::new(id, AccessProtocolType::Postgresql, url))
    }
}

impl De {
    /// Has the Element's description name the door.
    pub(in crate::data) fn postgres_show(&self) {
        let Some(protocol) = self.goods.postgres.protocol() else {
            return;
        };
        let is_shown = {
            let document = self.base.read();
            document.element.info.access_protocols.contains(&protocol)
        };
        if is_shown {
            return;
        }
        let shown = self.base.update(|document| {
            let doors = &mut document.element.info.access_protocols;
            doors.retain(|door| door.kind != AccessProtocolType::Postgresql);
            doors.push(protocol);
            Ok(())
        });
        if let Err(error) = shown {
            tracing::error!(%error, "the PostgreSQL door is not in DEDoc.xml");
        }
    }

    /// Other things should be: a kill ends all sessions, whoever is removed has none.
    pub(in crate::data) fn postgres_desired(&self, desired: &ElementDesired, is_cut: bool) {
        let goods = &self.goods;
        goods.people.on_desired(desired);
        let sessions = &goods.sessions;
        let is_nobody = |session: &SqlSession| {
            // Programs with the SDK come with tickets, which end by themselves.
            session.subject.door == SqlDoor::Postgres
                && goods.people.role(&session.subject.person).is_none()
        };
        sessions.end("its person may not come here any more", is_nobody);
        if is_cut {
            sessions.end("the Element was killed", |_| true);
        }
    }

    /// Whether it takes new work.
    pub(super) fn accepts(&self) -> bool {
        self.goods.pool.lock().wish().desired == Desired::Production
    }
}

/// Has the system notice clients that are gone without a word: sessions idle for hours.
fn keep_alive(tcp: &TcpStream) {
    let set = sockopt::set_socket_keepalive(tcp, true)
        .and_then(|()| sockopt::set_tcp_keepidle(tcp, KEEP_ALIVE_AFTER))
        .and_then(|()| sockopt::set_tcp_keepintvl(tcp, KEEP_ALIVE_EVERY));
    if let Err(error) = set {
        tracing::debug!(%error, "a connection is not watched for its client");
    }
}

/// Serves at the door until the Element ends.
pub(in crate::data) async fn serve(de: Arc<De>) {
    let Some(door) = de.goods.postgres.door.lock().take() else {
        return;
    };
    tracing::info!(address = %door.local_addr(), tls = door.is_secure(), "the PostgreSQL door is open");
    let tls = match door.tls() {
        Tls::Off => None,
        Tls::On(config) => {
            let mut config = ServerConfig::clone(&config);
            config.alpn_protocols = vec![ALPN.to_vec()];
            Some(Arc::new(config))
        }
    };
    let serving = Arc::clone(&de);
    let one = move |tcp: TcpStream, remote: SocketAddr, place: Place| {
        keep_alive(&tcp);
        let (de, tls) = (Arc::clone(&serving), tls.clone());
        async move {
            let served = entry::come(de, tcp, remote, tls).await;
            drop(place);
            served.map_err(io::Error::other)
        }
    };
    door.serve(one, de.stop.clone()).await;
}
