//! Programs joined to Hosts that cannot be dialled.
//!
//! The program shows its lease ticket; the Host is told a nonce on its control
//! stream and dials; both connections are made one. Inside, program and Host
//! speak TLS with each other: what passes here can be neither read nor changed.
//!
//! Invariants: nothing is done for a program before its ticket is judged; a
//! nonce serves one Host, once, while its program waits; joints are bounded for
//! each lease, each Host and the Element.

use std::{collections::HashMap, hash::Hash, io, net::SocketAddr, sync::Arc, time::Duration};

use gridmart_fabric::{
    door::{self, PendingTunnel, Request, Response},
    identity::PeerIdentity,
    stream::Peer,
    ticket::LeaseClaims,
    tunnel::{self, Carried, JointLimits},
};
use gridmart_schemas::{
    id::{KeyHash, LeaseId, NodeId, RelayNonce},
    problem::{Code, Problem},
    wire::element_host::RelayDial,
};
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::{sync::oneshot, time::MissedTickBehavior};

use super::{Ce, queue::entry::Epochs};

/// How long a Host may take to dial.
const DIAL_BACK_TIME_MAX: Duration = Duration::from_secs(10);
/// Joints of the Element: each takes two of its door's connections.
const JOINTS_MAX: u32 = 4096;
/// Joints of one Host: clients of different leases.
const HOST_JOINTS_MAX: u32 = 512;
/// Joints of one lease: one is used, others are on their way in or out.
const LEASE_JOINTS_MAX: u32 = 4;
/// How often the bytes of a joint are added to the metrics.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// What stands, and who is waited for.
#[derive(Default)]
pub(crate) struct RelayDesk {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    open: u32,
    by_host: HashMap<NodeId, u32>,
    by_lease: HashMap<LeaseId, u32>,
    awaited: HashMap<RelayNonce, Awaited>,
}

/// A Host that was told to dial.
struct Awaited {
    host: NodeId,
    arrived: oneshot::Sender<PendingTunnel>,
}

/// The right to one joint; dropping it gives it back.
struct Place {
    desk: Arc<RelayDesk>,
    host: NodeId,
    lease: LeaseId,
}

/// Somebody waits for a Host; dropping it makes the nonce worthless.
struct Wait {
    desk: Arc<RelayDesk>,
    nonce: RelayNonce,
    arrived: oneshot::Receiver<PendingTunnel>,
}

impl RelayDesk {
    fn enter(self: &Arc<Self>, host: NodeId, lease: LeaseId) -> Result<Place, Problem> {
        let mut table = self.table.lock();
        let full = |what: String, most: u32| {
            Problem::new(
                Code::Busy,
                format!("{what} carries {most} relayed connections already."),
            )
        };
        let count = |counts: Option<&u32>| counts.copied().unwrap_or(0);
        if table.open >= JOINTS_MAX {
            return Err(full("The Element".to_owned(), JOINTS_MAX));
        }
        if count(table.by_host.get(&host)) >= HOST_JOINTS_MAX {
            return Err(full(format!("The Host {host}"), HOST_JOINTS_MAX));
        }
        if count(table.by_lease.get(&lease)) >= LEASE_JOINTS_MAX {
            return Err(full(format!("The lease {lease}"), LEASE_JOINTS_MAX));
        }
        table.open += 1;
        *table.by_host.entry(host).or_default() += 1;
        *table.by_lease.entry(lease).or_default() += 1;
        drop(table);
        Ok(Place {
            desk: Arc::clone(self),
            host,
            lease,
        })
    }

    fn expect(self: &Arc<Self>, host: NodeId) -> Wait {
        let nonce = RelayNonce::from_random(tunnel::secret());
        let (sender, arrived) = oneshot::channel();
        let awaited = Awaited {
            host,
            arrived: sender,
        };
        self.table.lock().awaited.insert(nonce, awaited);
        Wait {
            desk: Arc::clone(self),
            nonce,
            arrived,
        }
    }

    /// Gives who waits for this Host under this nonce, once.
    fn take(
        &self,
        host: NodeId,
        nonce: RelayNonce,
    ) -> Result<oneshot::Sender<PendingTunnel>, Problem> {
        let mut table = self.table.lock();
        let awaited = table.awaited.get(&nonce).ok_or_else(nobody_waits)?;
        if awaited.host != host {
            return Err(Problem::new(
                Code::NotAuthorized,
                format!("The program that waits there does not wait for the Host {host}."),
            ));
        }
        let awaited = table.awaited.remove(&nonce).ok_or_else(nobody_waits)?;
        Ok(awaited.arrived)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.desk.table.lock();
        table.open = table.open.saturating_sub(1);
        leave(&mut table.by_host, self.host);
        leave(&mut table.by_lease, self.lease);
    }
}

fn leave<K: Copy + Eq + Hash>(counts: &mut HashMap<K, u32>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.desk.table.lock().awaited.remove(&self.nonce);
    }
}

fn nobody_waits() -> Problem {
    Problem::new(
        Code::NotFound,
        "No program waits there: the nonce was used, or its time is over.",
    )
}

impl Ce {
    /// A program asks for a Host that cannot be dialled.
    pub(crate) async fn relay(
        self: &Arc<Self>,
        peer: &PeerIdentity,
        remote: SocketAddr,
        host: &str,
        request: Request,
    ) -> Result<Response, Problem> {
        let joined = self.joined(peer, remote, host, request).await;
        joined.inspect_err(|_| {
            self.goods.metrics.relays_refused.inc();
        })
    }

    async fn joined(
        self: &Arc<Self>,
        peer: &PeerIdentity,
        remote: SocketAddr,
        host: &str,
        mut request: Request,
    ) -> Result<Response, Problem> {
        let presenter = peer.require_key()?;
        let ticket = door::ticket_shown(&request)?;
        let claims = self.judge_relay(ticket, host, presenter)?;
        let (host, lease) = (claims.aud, claims.lease);
        let control = self.relayed_host(host)?;
        let (response, program) = door::tunnel(&mut request)?;
        let place = self.goods.relays.enter(host, lease)?;
        let far = self.dialled_back(host, &control, remote).await?;
        let ce = Arc::clone(self);
        self.tasks
            .spawn(async move { ce.carry(place, program, far).await });
        Ok(response)
    }

    /// Judges a lease ticket for a Host as that Host would.
    fn judge_relay(
        &self,
        ticket: &str,
        host: &str,
        presenter: &KeyHash,
    ) -> Result<LeaseClaims, Problem> {
        let host: NodeId = host.parse().map_err(|error| {
            let error: gridmart_schemas::id::IdError = error;
            Problem::new(Code::InvalidRequest, error.to_string())
        })?;
        let now = OffsetDateTime::now_utc();
        let claims = self
            .own_keys
            .read()
            .verify_lease(ticket, host, presenter, now)?;
        let cut = Epochs {
            element: claims.cut.element,
            host: claims.cut.host,
            application: claims.cut.application,
        };
        let digest = &claims.application.digest;
        match self
            .goods
            .queue
            .lock()
            .is_over(claims.lease, host, digest, cut)
        {
            Some(problem) => Err(problem),
            None => Ok(claims),
        }
    }

    /// The control stream of a Host that programs are joined to here.
    fn relayed_host(&self, host: NodeId) -> Result<Peer, Problem> {
        let name = {
            let queue = self.goods.queue.lock();
            let known = queue.host(host);
            if known.is_some_and(|known| known.connected && !known.relayed) {
                return Err(Problem::new(
                    Code::InvalidRequest,
                    format!("The Host {host} is to be dialled by programs themselves."),
                ));
            }
            known.map_or_else(|| host.to_string(), |known| known.name().to_owned())
        };
        self.links.host(host).ok_or_else(|| {
            Problem::new(
                Code::HostDown,
                format!("The Host {name} is not connected to its Element at present."),
            )
        })
    }

    /// Has the Host dial, and waits until it has.
    async fn dialled_back(
        &self,
        host: NodeId,
        control: &Peer,
        caller: SocketAddr,
    ) -> Result<PendingTunnel, Problem> {
        let mut wait = self.goods.relays.expect(host);
        let dial = RelayDial {
            nonce: wait.nonce,
            caller,
        };
        let refused = async {
            match control.ask(&dial, DIAL_BACK_TIME_MAX).await {
                // What it says of itself is seen at the door.
                Ok(_) => std::future::pending().await,
                Err(problem) => problem,
            }
        };
        let why = tokio::select! {
            biased;
            Ok(far) = &mut wait.arrived => return Ok(far),
            problem = refused => problem.detail,
            () = tokio::time::sleep(DIAL_BACK_TIME_MAX) => "it took too long.".to_owned(),
        };
        let queue = self.goods.queue.lock();
        let name = queue
            .host(host)
            .map_or_else(|| host.to_string(), |known| known.name().to_owned());
        drop(queue);
        if control.is_closed() {
            return Err(Problem::new(
                Code::HostDown,
                format!("The Host {name} was lost while it was to dial its Element."),
            ));
        }
        Err(Problem::new(
            Code::RelayFailed,
            format!("The Host {name} did not dial its Element: {why}"),
        ))
    }

    /// A Host has dialled.
    pub(crate) fn data(
        &self,
        host: NodeId,
        nonce: &str,
        mut request: Request,
    ) -> Result<Response, Problem> {
        let nonce = nonce.parse().map_err(|_| nobody_waits())?;
        let (response, far) = door::tunnel(&mut request)?;
        let waiting = self.goods.relays.take(host, nonce)?;
        waiting.send(far).map_err(|_| nobody_waits())?;
        Ok(response)
    }

    async fn carry(&self, place: Place, program: PendingTunnel, far: PendingTunnel) {
        let (near, far) = match tokio::try_join!(program.tunnel(), far.tunnel()) {
            Ok(ends) => ends,
            Err(problem) => {
                tracing::info!(%problem, node.id = %place.host, lease.id = %place.lease, "a program was not joined to its Host");
                return;
            }
        };
        tracing::info!(node.id = %place.host, lease.id = %place.lease, "a program is joined to its Host");
        self.goods.metrics.relays.inc();
        self.goods.metrics.relays_open.inc();
        let carried = Carried::default();
        let ended = {
            let joint = tunnel::join(near, far, JointLimits::default(), &carried);
            tokio::select! {
                ended = joint => ended,
                () = self.stop.cancelled() => Ok(()),
                () = self.count(&carried) => Ok(()),
            }
        };
        self.goods.metrics.relays_open.dec();
        let bytes = carried.bytes();
        // Programs that end do not say goodbye.
        let error = ended
            .err()
            .filter(|error| error.kind() != io::ErrorKind::UnexpectedEof)
            .map(tracing::field::display);
        tracing::info!(node.id = %place.host, lease.id = %place.lease, bytes, error, "a program and its Host have parted");
    }

    /// Adds what is carried to the metrics; never ends by itself.
    async fn count(&self, carried: &Carried) {
        let mut counted = Counted {
            carried,
            counter: &self.goods.metrics.relayed_bytes,
            told: 0,
        };
        let mut interval = tokio::time::interval(COUNT_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            counted.count();
        }
    }
}

/// Counts the rest when it is dropped.
struct Counted<'a> {
    carried: &'a Carried,
    counter: &'a prometheus_client::metrics::counter::Counter,
    told: u64,
}

impl Counted<'_> {
    fn count(&mut self) {
        let bytes = self.carried.bytes();
        self.counter.inc_by(bytes - self.told);
        self.told = bytes;
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk() -> Arc<RelayDesk> {
        Arc::default()
    }

    #[test]
    fn a_nonce_serves_its_host_once() {
        let desk = desk();
        let (host, other) = (NodeId::generate(), NodeId::generate());
        let wait = desk.expect(host);
        let refused = desk.take(other, wait.nonce).unwrap_err();
        assert_eq!(refused.code, Code::NotAuthorized);
        desk.take(host, wait.nonce).unwrap();
        let refused = desk.take(host, wait.nonce).unwrap_err();
        assert_eq!(refused.code, Code::NotFound);
        let given_up = desk.expect(host);
        let nonce = given_up.nonce;
        assert!(nonce != wait.nonce);
        drop(given_up);
        assert_eq!(desk.take(host, nonce).unwrap_err().code, Code::NotFound);
        assert!(desk.table.lock().awaited.is_empty());
    }

    #[test]
    fn joints_are_bounded_and_given_back() {
        let desk = desk();
        let (host, lease) = (NodeId::generate(), LeaseId::generate());
        let places: Vec<_> = (0..LEASE_JOINTS_MAX)
            .map(|_| desk.enter(host, lease).unwrap())
            .collect();
        let refused = desk.enter(host, lease).err().unwrap();
        assert_eq!(refused.code, Code::Busy);
        let others: Vec<_> = (LEASE_JOINTS_MAX..HOST_JOINTS_MAX)
            .map(|_| desk.enter(host, LeaseId::generate()).unwrap())
            .collect();
        let refused = desk.enter(host, LeaseId::generate()).err().unwrap();
        assert!(refused.detail.contains(&host.to_string()), "{refused}");
        desk.enter(NodeId::generate(), lease).err().unwrap();
        drop(places);
        desk.enter(host, lease).unwrap();
        drop(others);
        let elsewhere: Vec<_> = (0..JOINTS_MAX)
            .map(|_| desk.enter(NodeId::generate(), LeaseId::generate()).unwrap())
            .collect();
        let refused = desk.enter(NodeId::generate(), lease).err().unwrap();
        assert_eq!(refused.code, Code::Busy);
        drop(elsewhere);
        let table = desk.table.lock();
        assert!(table.open == 0 && table.by_host.is_empty() && table.by_lease.is_empty());
    }
}
