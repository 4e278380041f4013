//! Who is at the people's door: so many connections of one address, and a
//! caller that takes no bytes is cut.
//!
//! actix bounds the connections of all together; this bounds what one address
//! may take of them.

use std::{
    any::Any,
    collections::HashMap,
    net::{SocketAddr, TcpListener},
    os::fd::AsFd as _,
    sync::Arc,
    time::Duration,
};

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::{dev::Extensions, rt::net::TcpStream};
use gridmart_fabric::{door::Origin, telemetry::LineGate};
use gridmart_schemas::problem::Code;
use parking_lot::Mutex;
use rustix::net::{Shutdown, shutdown, sockopt::set_tcp_user_timeout};

/// Connections of one address at a time (of IPv6: one network of 64 bits).
const PER_ADDRESS_MAX: u32 = 1024;
/// A caller that takes no bytes for this long is cut.
const WRITE_STALL: Duration = Duration::from_secs(30);

/// Has the kernel cut callers that take no bytes; accepted connections have
/// their listener's setting.
pub(super) fn stall_limit(listener: &TcpListener) -> std::io::Result<()> {
    let limit = u32::try_from(WRITE_STALL.as_millis()).unwrap_or(u32::MAX);
    Ok(set_tcp_user_timeout(listener, limit)?)
}

/// The connections of the door, by address.
#[derive(Default)]
pub(super) struct Crowd {
    present: Mutex<HashMap<Origin, u32>>,
    refusals: LineGate,
}

/// One connection, until it is dropped.
struct Present {
    crowd: Arc<Crowd>,
    origin: Origin,
}

impl Crowd {
    /// A connection has come: it is counted as long as it stays, or shut.
    pub(super) fn on_connect(self: &Arc<Self>, connection: &dyn Any, facts: &mut Extensions) {
        let tcp = connection.downcast_ref::<TcpStream>().or_else(|| {
            Some(
                connection
                    .downcast_ref::<TlsStream<TcpStream>>()?
                    .get_ref()
                    .0,
            )
        });
        let Some((tcp, remote)) = tcp.and_then(|tcp| Some((tcp, tcp.peer_addr().ok()?))) else {
            return;
        };
        match self.enter(remote) {
            Some(present) => drop(facts.insert(present)),
            None => {
                // It has gone already if this fails.
                let _ = shutdown(tcp.as_fd(), Shutdown::Both);
            }
        }
    }

    fn enter(self: &Arc<Self>, remote: SocketAddr) -> Option<Present> {
        let origin = Origin::from(remote.ip());
        let mut present = self.present.lock();
        let own = present.entry(origin).or_default();
        if *own >= PER_ADDRESS_MAX {
            if let Some(left_out) = self.refusals.admit() {
                let reason = "its address has all of the connections that it may have";
                tracing::info!(%remote, code = %Code::Busy, reason, left_out, "refused at the door");
            }
            return None;
        }
        *own += 1;
        Some(Present {
            crowd: Arc::clone(self),
            origin,
        })
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut present = self.crowd.present.lock();
        if let Some(own) = present.get_mut(&self.origin) {
            *own -= 1;
            if *own == 0 {
                present.remove(&self.origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_have_them_all() {
        let crowd = Arc::new(Crowd::default());
        let [one, other] = ["192.0.2.1:5", "192.0.2.2:5"].map(|text| text.parse().unwrap());
        let held: Vec<_> = (0..PER_ADDRESS_MAX).map(|_| crowd.enter(one)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(crowd.enter(one).is_none());
        assert!(crowd.enter(other).is_some());
        drop(held);
        assert!(crowd.enter(one).is_some());
        assert!(crowd.present.lock().is_empty(), "nothing is remembered");
    }
}
